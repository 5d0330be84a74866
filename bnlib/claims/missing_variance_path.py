"""Half of the mistake: the backward without the path through the variance."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.claims.wrong_backward import STEPS, percent

ACTIVATIONS = ("sigmoid", "relu")
RATES = {"usual": 0.3, "large": 3.0}
WORTH = 1.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of the right backward and of the one without that path."""
    return {
        f"{activation}, {kind}, {name}": percent(kind, activation, lr, seed, size)
        for activation in ACTIVATIONS
        for name, lr in RATES.items()
        for kind in ("right", "variance")
    }


def cost(row: Row, activation: str, name: str) -> float:
    return row[f"{activation}, right, {name}"] - row[f"{activation}, variance, {name}"]


def effect(row: Row) -> float:
    """With ReLUs, at the usual rate."""
    return cost(row, "relu", "usual")


def judge(rows: Sequence[Row]) -> Verdict:
    costs = {
        (activation, name): difference([cost(row, activation, name) for row in rows], WORTH)
        for activation in ACTIVATIONS
        for name in RATES
    }
    parts = [
        f"{activation}, rate {RATES[name]:g}: {shown(rows, f'{activation}, variance, {name}')} % "
        f"without the path, {shown(rows, f'{activation}, right, {name}')} % with it, a cost of {d}"
        for (activation, name), d in costs.items()
    ]
    sentence = f"Test accuracy after {STEPS['full']} steps. " + "; ".join(parts) + "."
    better = [d.better for d in costs.values()]
    if any(better):
        return Verdict("reproduces" if all(better) else "partly", sentence)
    return Verdict("not at this scale", sentence)


CLAIM = Claim(
    id="missing_variance_path",
    sentence="Leaving out only the path through the variance costs accuracy as well.",
    source="Measured here; the mistake is known from several public trackers",
    paper="Not measured.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the right backward is ahead by more than the size worth having in sigmoid "
        f"and in ReLU networks, at a usual rate ({RATES['usual']:g}) and at a large one "
        f"({RATES['large']:g}); partly if only in some of the four."
    ),
    conclude=(
        "At usual rates this mistake hides from every curve, and only a gradient check finds it. "
        "That the path does not matter does not follow: look at the large rate, which is what BN "
        "is used for."
    ),
    effect=effect,
    unit="points, ReLUs, usual rate",
    worth=WORTH,
    seeds=20,
)
