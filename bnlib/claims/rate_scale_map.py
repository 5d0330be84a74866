"""Learning rate times initial scale: which settings work, without and with BN, as two maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, POOLED, mnist, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, column, difference, overall, shown
from bnlib.network import mlp

SCALES = (0.25, 0.5, 1.0, 2**0.5, 2.0, 4.0, 8.0)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = {"full": 150, "notebook": 60}
WORKS = {"full": 70, "notebook": 40}  # percent
WORTH = 20.0  # percent of the settings


def experiment(seed: int, size: str) -> Row:
    """The percentage of settings that work, and the accuracy in percent of each setting."""
    every = 1 if size == "full" else 3
    row = {}
    for arm, norm in ARMS.items():
        cells = {}
        for s in SCALES:
            for lr in RATES:
                if SCALES.index(s) % every or RATES.index(lr) % every:
                    cells[cell(arm, s, lr)] = -1.0  # not measured in the small run
                    continue
                sizes = [POOLED] + [48] * 5 + [10]
                net = mlp(sizes, norm=norm, init_scale=s, seed=seed, dtype=np.float32)
                cells[cell(arm, s, lr)] = trained_percent(
                    net, mnist(pool=True), STEPS[size], lr, seed, 64, 1000
                )
        measured = np.array([value for value in cells.values() if value >= 0])
        row |= {f"{arm}, share": 100 * np.mean(measured >= WORKS[size])} | cells
    return row


def cell(arm: str, scale: float, lr: float) -> str:
    """The name of a setting's number."""
    return f"{arm} s={scale:.3g} lr={lr:g}"


def mean_map(rows: Mapping[int, Row], arm: str) -> np.ndarray:
    """Mean accuracy in percent over the seeds, (scales, rates), for a figure."""
    return np.array(
        [[np.mean([r[cell(arm, s, lr)] for r in rows.values()]) for lr in RATES] for s in SCALES]
    )


def effect(row: Row) -> float:
    """How many more of the settings work with BN."""
    return row["with, share"] - row["without, share"]


def judge(rows: Sequence[Row]) -> Verdict:
    gain = difference(column(rows, "with, share") - column(rows, "without, share"), WORTH)
    sentence = (
        f"Of {len(SCALES) * len(RATES)} settings of rate and initial scale, "
        f"{shown(rows, 'without, share')} % reach {WORKS['full']} % test accuracy within "
        f"{STEPS['full']} steps without BN, {shown(rows, 'with, share')} % with it."
    )
    return Verdict(overall([gain]), sentence)


CLAIM = Claim(
    id="rate_scale_map",
    sentence="With BN, many more settings of rate and initial scale train well.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="An argument, without a number.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"Reproduces if the share of the {len(SCALES)} x {len(RATES)} settings that reach "
        f"{WORKS['full']} % test accuracy grows by more than the size worth having."
    ),
    conclude=(
        "BN saves tuning, in ReLU networks with five hidden layers. The share depends on how far "
        "the grid reaches, and says nothing about the best setting: for that see "
        "best_against_best."
    ),
    effect=effect,
    unit="percent of the settings",
    worth=WORTH,
)
