"""Training gamma and beta alone: every weight stays as it was drawn."""

import numpy as np

from bnlib.claims.engine import Claim, Row, minus, rate_of, tuned_rates
from bnlib.claims.engine.altered import PartialSGD, for_each
from bnlib.claims.engine.experiments import FIVE, mlp32, mnist, trained_percent
from bnlib.network import Sequential

ARMS = {  # the names of the numbers, and how many parameters of FIVE each trains
    "gamma and beta": 1000,
    "two weights a unit": 1000,
    "last layer": 1010,
    "all": 61_610,
}
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
STEPS = {"full": 1500, "notebook": 300}


def trained(net: Sequential, arm: str, seed: int) -> np.ndarray:
    """1 for each parameter of ``net`` that the arm trains, 0 for the others, (parameters,)."""
    *hidden, weight, bias = net.params  # the last two are the last layer's
    rng = np.random.default_rng(seed)

    def choice(name: str, array: np.ndarray) -> float | np.ndarray:
        if arm == "two weights a unit" and name.endswith("weight") and name in hidden:
            # The first two places of each column, shuffled: two of the weights that enter a unit.
            two = np.zeros(array.shape)
            two[:2] = 1
            return rng.permuted(two, axis=0)
        return {
            "gamma and beta": name.endswith(("gamma", "beta")),
            "two weights a unit": False,
            "last layer": name in (weight, bias),
            "all": True,
        }[arm]

    return for_each(net, choice)


def run(arm: str, lr: float, seed: int, size: str = "full") -> float:
    net = mlp32(FIVE, "batch", seed=seed)
    optimizer = PartialSGD(net, lr, trained(net, arm, seed))
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed, optimizer=optimizer)


def experiment(seed: int, size: str, **rates: float) -> Row:
    """Test accuracy in percent of what each arm trains, at its best rate; BN is in all of them."""
    return {arm: run(arm, rates[rate_of(arm)], seed, size) for arm in ARMS}


CLAIM = Claim(
    id="only_gamma_beta",
    sentence="Gamma and beta alone, on random weights, learn more than as many weights do.",
    source="Frankle, Schwab & Morcos 2021, abstract",
    paper="ResNets deep enough reach 82 % on CIFAR-10 with only gamma and beta trained, far more "
    "than with as many parameters chosen at random elsewhere in the network.",
    experiment=experiment,
    parts={
        "against two weights": minus("gamma and beta", "two weights a unit"),
        "against the last layer": minus("gamma and beta", "last layer"),
    },
    says=f"Test accuracy after {STEPS['full']} steps, and how many numbers were trained, each at "
    "its best rate: "
    + ", ".join(f"{arm} [{arm}] % ({count:,})" for arm, count in ARMS.items())
    + ". Gamma and beta are ahead of two weights a unit by [against two weights] points, of the "
    "last layer by [against the last layer].",
    criterion="Reproduces if gamma and beta alone are ahead by more than the size worth having "
    "both of two weights chosen at random for each hidden unit and of the last layer with its "
    "bias; partly if of one of them; not at this scale if they can be so of neither. Five hidden "
    "layers with BN everywhere; what is not trained stays as it was drawn, gamma 1, beta 0.",
    conclude="Scales and shifts of random features can do much of the work, and here do more than "
    "the same number of other parameters. They do not replace the weights: see what training all "
    "gives.",
    unit="points against two weights",
    worth=3.0,  # points of accuracy
    **tuned_rates(run, ARMS, RATES),
)
