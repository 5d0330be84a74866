"""The same learning rate for both networks, and the best one for each."""

from bnlib.claims.engine import Claim, Row, minus, overall, tuned_rates
from bnlib.claims.engine.experiments import ARMS, FIVE, mlp32, mnist, trained_percent

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = {"full": 300, "notebook": 100}


def run(norm: str | None, lr: float, seed: int, size: str = "full") -> float:
    net = mlp32(FIVE, norm, seed=seed)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    """Accuracies in percent, without BN at its best rate, with BN at that one and at its own."""
    return {
        "without": run(None, lr_without, seed, size),
        "with, same rate": run("batch", lr_without, seed, size),
        "with, own rate": run("batch", lr_with, seed, size),
    }


CLAIM = Claim(
    id="best_against_best",
    sentence="What BN gains is the larger learning rate; at the same rate it gains little.",
    source="Bjorck et al. 2018, section 2 and Figure 1",
    paper="ResNet-110 on CIFAR-10: about the same accuracy at the small rate, several points more "
    "at the large one.",
    experiment=experiment,
    parts={
        "larger rate": minus("with, own rate", "with, same rate"),
        "same rate": minus("with, same rate", "without"),
    },
    rule=lambda found: overall(found["larger rate"], also=found["same rate"].absent),
    says=f"Test accuracy after {STEPS['full']} steps: [without] % without BN at its best rate, "
    "[with, same rate] % with BN at that same rate (a difference of [same rate] points), "
    "[with, own rate] % with BN at its own best rate (another [larger rate] points).",
    criterion="Reproduces if BN's own best rate adds more than the size worth having to BN at the "
    "other network's best rate, and BN at that rate does not gain it already; partly if both gain "
    "it.",
    conclude="How a gain divides between BN and the rate that it allows, after few steps, in "
    "networks with five hidden layers. Not how large the gain is in deep networks, nor after long "
    "training.",
    unit="points",
    worth=0.5,  # points of accuracy; one error in sixteen
    seeds=40,
    **tuned_rates(lambda arm, lr, seed: run(ARMS[arm], lr, seed), ARMS, RATES),
)
