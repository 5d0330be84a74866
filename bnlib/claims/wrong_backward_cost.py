"""What the wrong backward costs, each backward at its own best rate."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict, best_rates, difference, shown
from bnlib.claims.wrong_backward import STEPS, percent

ACTIVATIONS = ("sigmoid", "relu")
COMPARED = ("none", "right", "constants")
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LARGE = 3.0  # which the right backward bears
WORTH = 2.0  # points of accuracy


def tune(seed: int) -> Row:
    return {
        f"{activation} {kind} {lr:g}": percent(kind, activation, lr, seed, "full")
        for activation in ACTIVATIONS
        for kind in COMPARED
        for lr in RATES
    }


def choose(rows: Sequence[Row]) -> dict[str, float]:
    arms = [f"{activation} {kind}" for activation in ACTIVATIONS for kind in COMPARED]
    return best_rates(rows, arms, RATES)


def experiment(seed: int, size: str, **rates: float) -> Row:
    """Test accuracy in percent, each at its own best rate; the two backwards also at LARGE."""
    row = {}
    for activation in ACTIVATIONS:
        for kind in COMPARED:
            lr = rates[f"lr_{activation}_{kind}"]
            row[f"{activation}, {kind}"] = percent(kind, activation, lr, seed, size)
        for kind in ("right", "constants"):
            row[f"{activation}, {kind}, large"] = percent(kind, activation, LARGE, seed, size)
    return row


def cost(row: Row, activation: str, at: str = "") -> float:
    return row[f"{activation}, right{at}"] - row[f"{activation}, constants{at}"]


def effect(row: Row) -> float:
    """With ReLUs."""
    return cost(row, "relu")


def judge(rows: Sequence[Row]) -> Verdict:
    parts, better = [], []
    for activation in ACTIVATIONS:
        own = difference([cost(row, activation) for row in rows], WORTH)
        large = difference([cost(row, activation, ", large") for row in rows], WORTH)
        better.append(own.better)
        parts.append(
            f"{activation}: {shown(rows, f'{activation}, none')} % without BN, "
            f"{shown(rows, f'{activation}, constants')} % with the wrong backward, "
            f"{shown(rows, f'{activation}, right')} % with the right one; the mistake costs {own} "
            f"points, {large} at rate {LARGE:g}"
        )
    sentence = f"Best rates, {STEPS['full']} steps. " + ". ".join(parts) + "."
    if all(better):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if any(better) else "not at this scale", sentence)


CLAIM = Claim(
    id="wrong_backward_cost",
    sentence="Taking the statistics for constants costs accuracy, at its best rate too.",
    source="Ioffe & Szegedy 2015, section 2",
    paper="An argument: parameters grow without effect on the loss.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the right backward is ahead of the wrong one by more than the size worth "
        "having, each at its own best rate, in sigmoid and in ReLU networks; partly if only in one."
    ),
    conclude=(
        "No choice of the rate makes up for the mistake. With ReLUs look at the number without BN: "
        "a wrong BN can be worse than none, and then BN gets the blame. After 300 steps; nothing "
        "about long training."
    ),
    effect=effect,
    unit="points, ReLUs, best rates",
    worth=WORTH,
    tune=tune,
    choose=choose,
)
