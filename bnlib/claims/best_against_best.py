"""The same learning rate for both networks, and the best one for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, FIVE, mnist, trained_percent
from bnlib.claims.engine.judging import (
    Row,
    Verdict,
    best_rates,
    column,
    difference,
    overall,
    shown,
)
from bnlib.network import mlp

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = {"full": 300, "notebook": 100}
WORTH = 0.5  # points of accuracy; one error in sixteen


def run(norm: str | None, lr: float, seed: int, size: str = "full") -> float:
    net = mlp(FIVE, norm=norm, seed=seed, dtype=np.float32)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def tune(seed: int) -> Row:
    return {f"{arm} {lr:g}": run(norm, lr, seed) for arm, norm in ARMS.items() for lr in RATES}


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    """Accuracies in percent, without BN at its best rate, with BN at that one and at its own."""
    return {
        "without": run(None, lr_without, seed, size),
        "with, same rate": run("batch", lr_without, seed, size),
        "with, own rate": run("batch", lr_with, seed, size),
    }


def effect(row: Row) -> float:
    """What the larger rate adds to what BN gives at the same rate."""
    return row["with, own rate"] - row["with, same rate"]


def judge(rows: Sequence[Row]) -> Verdict:
    gain = column(rows, "with, same rate") - column(rows, "without")
    same_rate = difference(gain, WORTH)
    larger_rate = difference([effect(row) for row in rows], WORTH)
    sentence = (
        f"Test accuracy after {STEPS['full']} steps: {shown(rows, 'without')} % without BN at its "
        f"best rate, {shown(rows, 'with, same rate')} % with BN at that same rate (a difference of "
        f"{same_rate} points), {shown(rows, 'with, own rate')} % with BN at its own best rate "
        f"(another {larger_rate} points)."
    )
    if larger_rate.better and not same_rate.absent:
        return Verdict("partly", sentence)
    return Verdict(overall([larger_rate]), sentence)


CLAIM = Claim(
    id="best_against_best",
    sentence="What BN gains is the larger learning rate; at the same rate it gains little.",
    source="Bjorck et al. 2018, section 2 and Figure 1",
    paper="ResNet-110 on CIFAR-10: about the same accuracy at the small rate, several points more "
    "at the large one.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if BN's own best rate adds more than the size worth having to BN at the other "
        "network's best rate, and BN at that rate does not gain it already; partly if both gain it."
    ),
    conclude=(
        "How a gain divides between BN and the rate that it allows, after few steps, in networks "
        "with five hidden layers. Not how large the gain is in deep networks, nor after long "
        "training."
    ),
    effect=effect,
    unit="points",
    worth=WORTH,
    seeds=40,
    tune=tune,
    choose=choose,
)
