"""At the end of training: running averages, or statistics counted anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, percent_right
from bnlib.claims.engine.judging import Row, Verdict, difference, overall, shown
from bnlib.inference import population_statistics
from bnlib.network import mlp
from bnlib.training import Trainer

STEPS = {"full": 500, "notebook": 150}
RATES = (0.1, 1.0)
WORTH = 0.5  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with both kinds of statistics, the same weights."""
    data, row = mnist(pool=True), {}
    for lr in RATES:
        net = mlp(THREE, "batch", seed=seed, dtype=np.float32)
        Trainer(net, data, lr, 64, seed).advance(STEPS[size])
        row[f"running, {lr:g}"] = percent_right(net, data, 10_000)
        population_statistics(net, data, n=20_000)
        row[f"population, {lr:g}"] = percent_right(net, data, 10_000)
    return row


def gain(row: Row, lr: float) -> float:
    return row[f"population, {lr:g}"] - row[f"running, {lr:g}"]


def effect(row: Row) -> float:
    """At the smaller rate."""
    return gain(row, RATES[0])


def judged(rows: Sequence[Row], rates: Sequence[float], steps: int) -> Verdict:
    """Whether population statistics gain at each of the rates; cnn_running_averages asks too."""
    gains, parts = [], []
    for lr in rates:
        points = [gain(row, lr) for row in rows]
        gains.append(difference(points, WORTH))
        parts.append(
            f"at rate {lr:g} {shown(rows, f'running, {lr:g}')} % with running averages, "
            f"{shown(rows, f'population, {lr:g}')} % with population statistics "
            f"({gains[-1]} points, at most {max(points):.1f})"
        )
    sentence = f"Test accuracy after {steps} steps: " + "; ".join(parts) + "."
    return Verdict(overall(gains), sentence)


def judge(rows: Sequence[Row]) -> Verdict:
    return judged(rows, RATES, STEPS["full"])


CLAIM = Claim(
    id="population_statistics",
    sentence="After training, population statistics are more accurate than running averages.",
    source="Ioffe & Szegedy 2015, Algorithm 2; Wu & Johnson 2021, section 3",
    paper="The first prescribes population statistics; the second finds both about equal at the "
    "end of a usual training.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if they gain more than the size worth having at both rates "
        f"({RATES[0]:g} and {RATES[1]:g}, momentum 0.1, batches of 64, ReLUs); partly if only at "
        "one; not at this scale if they cannot gain it at either."
    ),
    conclude=(
        "With momentum 0.1 and some hundred steps the cheap averages cost fractions of a point. "
        "They cost more after few steps or with a small momentum (averages_lag), and single runs "
        "of a CNN can differ (cnn_running_averages)."
    ),
    effect=effect,
    unit=f"points at rate {RATES[0]:g}",
    worth=WORTH,
    seeds=20,
)
