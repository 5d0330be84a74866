"""BN before or after the nonlinearity."""

from functools import partial

from bnlib.claims.engine import REPRODUCES, Claim, Row, overall, rate_of, tuned_rates
from bnlib.claims.engine.experiments import THREE, mlp32, mnist, trained_percent

RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LARGE = 3.0  # a rate beyond the best ones
STEPS = {"full": 300, "notebook": 100}
ACTIVATIONS = ("relu", "sigmoid")
ARMS = [f"{activation} {place}" for activation in ACTIVATIONS for place in ("before", "after")]


def run(arm: str, lr: float, seed: int, size: str = "full") -> float:
    activation, place = arm.split()
    net = mlp32(THREE, "batch", activation, norm_position=place, seed=seed)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent of every arm, at its best rate and at a large one."""
    best = {f"{arm}, best": run(arm, tuned[rate_of(arm)], seed, size) for arm in ARMS}
    return best | {f"{arm}, large": run(arm, LARGE, seed, size) for arm in ARMS}


def before_minus_after(row: Row, activation: str, rate: str) -> float:
    return row[f"{activation} before, {rate}"] - row[f"{activation} after, {rate}"]


def rule(found: dict) -> str:
    if all(found[f"{activation}, best"].better for activation in ACTIVATIONS):
        return REPRODUCES
    return overall(*found.values())


def both(rate: str) -> str:
    return ", ".join(
        f"{a} [{a}, {rate}] points ([{a} before, {rate}:.1f] and [{a} after, {rate}:.1f] %)"
        for a in ACTIVATIONS
    )


CLAIM = Claim(
    id="placement",
    sentence="BN belongs before the nonlinearity.",
    source="Ioffe & Szegedy 2015, section 3.2",
    paper="An argument: Wu + b is more symmetric, more Gaussian, than the output of a "
    "nonlinearity.",
    experiment=experiment,
    parts={
        f"{activation}, {rate}": partial(before_minus_after, activation=activation, rate=rate)
        for rate in ("best", "large")
        for activation in ACTIVATIONS
    },
    rule=rule,
    says=f"Test accuracy before minus after, each at its best rate: {both('best')}; at a rate of "
    f"{LARGE:g}: {both('large')}.",
    criterion="Reproduces if before beats after by more than the size worth having at the best "
    "rates, with ReLUs and with sigmoids; partly if only with one of them, or only at a large "
    "rate.",
    conclude="Whether the place decides about accuracy after few steps, and about the rates that "
    "work, in networks with three hidden layers. In practice convolution, BN, ReLU is the usual "
    "order; nothing here contradicts or proves that for deep networks.",
    effect_of=["relu, best", "sigmoid, best"],
    unit="points at the best rates",
    worth=1.0,  # points of accuracy
    seeds=20,
    **tuned_rates(run, ARMS, RATES),
)
