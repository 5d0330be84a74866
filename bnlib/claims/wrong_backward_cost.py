"""What the wrong backward costs, each backward at its own best rate."""

from bnlib.claims.engine import Claim, Row, minus, overall, rate_of, tuned_rates
from bnlib.claims.wrong_backward import STEPS, percent

ACTIVATIONS = ("sigmoid", "relu")
COMPARED = ("none", "right", "constants")
ARMS = [f"{activation} {kind}" for activation in ACTIVATIONS for kind in COMPARED]
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LARGE = 3.0  # which the right backward bears


def run(arm: str, lr: float, seed: int, size: str = "full") -> float:
    activation, kind = arm.split()
    return percent(kind, activation, lr, seed, size)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent, each at its own best rate; the two backwards also at LARGE."""
    row = {arm.replace(" ", ", "): run(arm, tuned[rate_of(arm)], seed, size) for arm in ARMS}
    for activation in ACTIVATIONS:
        for kind in ("right", "constants"):
            row[f"{activation}, {kind}, large"] = percent(kind, activation, LARGE, seed, size)
    return row


CLAIM = Claim(
    id="wrong_backward_cost",
    sentence="Taking the statistics for constants costs accuracy, at its best rate too.",
    source="Ioffe & Szegedy 2015, section 2",
    paper="An argument: parameters grow without effect on the loss.",
    experiment=experiment,
    parts={
        f"{a}{at}": minus(f"{a}, right{at}", f"{a}, constants{at}")
        for a in ACTIVATIONS
        for at in ("", ", large")
    },
    rule=lambda found: overall(found["relu"], found["sigmoid"]),
    says=f"Best rates, {STEPS['full']} steps. "
    + ". ".join(
        f"{a}: [{a}, none] % without BN, [{a}, constants] % with the wrong backward, "
        f"[{a}, right] % with the right one; the mistake costs [{a}] points, [{a}, large] at rate "
        f"{LARGE:g}"
        for a in ACTIVATIONS
    )
    + ".",
    criterion="Reproduces if the right backward is ahead of the wrong one by more than the size "
    "worth having, each at its own best rate, in sigmoid and in ReLU networks; partly if only in "
    "one.",
    conclude="No choice of the rate makes up for the mistake. With ReLUs look at the number "
    "without BN: a wrong BN can be worse than none, and then BN gets the blame. After 300 steps; "
    "nothing about long training.",
    effect_of=["relu"],
    unit="points, ReLUs, best rates",
    worth=2.0,  # points of accuracy
    **tuned_rates(run, ARMS, RATES),
)
