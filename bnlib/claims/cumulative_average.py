"""momentum=None, the plain average of all batches, as a cure for the lag."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.averages_lag import LOOKS, experiment
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict, difference, shown

WORTH = 0.3  # points of accuracy


def gain(row: Row, look: str) -> float:
    """Of the plain average over the running one."""
    return row[f"None, {look}"] - row[f"0.1, {look}"]


def effect(row: Row) -> float:
    """Late in training."""
    return gain(row, "late")


def judge(rows: Sequence[Row]) -> Verdict:
    gains = {look: difference([gain(row, look) for row in rows], WORTH) for look in LOOKS["full"]}
    parts = [
        f"after {LOOKS['full'][look]} steps {shown(rows, f'None, {look}')} %, momentum 0.1 "
        f"{shown(rows, f'0.1, {look}')} % ({d} points), population statistics "
        f"{shown(rows, f'population, {look}')} %"
        for look, d in gains.items()
    ]
    sentence = "Test accuracy with the plain average: " + "; ".join(parts) + "."
    if gains["early"].better:
        return Verdict("reproduces" if gains["late"].better else "partly", sentence)
    return Verdict("not at this scale", sentence)


CLAIM = Claim(
    id="cumulative_average",
    sentence="The plain average of all batches (momentum=None) cures the lag.",
    source="An option of PyTorch's BatchNorm, and of bnlib's",
    paper="Not measured.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if it is more accurate than momentum 0.1, by more than the size worth having, "
        "after 10 steps and after 1,000; partly if only after 10."
    ),
    conclude=(
        "Early it helps, as nothing of the arbitrary start is left in it. Later it never forgets "
        "the batches of the first steps, when the weights were others. At the end of training use "
        "momentum, or count the population statistics anew."
    ),
    effect=effect,
    unit="points after 1,000 steps",
    worth=WORTH,
)
