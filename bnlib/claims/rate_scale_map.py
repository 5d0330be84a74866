"""Learning rate times initial scale: which settings work, without and with BN, as two maps."""

from collections.abc import Mapping

import numpy as np

from bnlib.claims.engine import Claim, Row, minus
from bnlib.claims.engine.experiments import ARMS, POOLED, mlp32, mnist, trained_percent

SCALES = (0.25, 0.5, 1.0, 2**0.5, 2.0, 4.0, 8.0)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = {"full": 150, "notebook": 60}
WORKS = {"full": 70, "notebook": 40}  # percent


def experiment(seed: int, size: str) -> Row:
    """The percentage of settings that work, and the accuracy in percent of each setting."""
    every = 1 if size == "full" else 3
    row = {}
    for arm, norm in ARMS.items():
        cells = {cell(arm, s, lr): -1.0 for s in SCALES for lr in RATES}  # -1: not measured
        for s in SCALES[::every]:
            for lr in RATES[::every]:
                net = mlp32([POOLED] + [48] * 5 + [10], norm, init_scale=s, seed=seed)
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


CLAIM = Claim(
    id="rate_scale_map",
    sentence="With BN, many more settings of rate and initial scale train well.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="An argument, without a number.",
    experiment=experiment,
    parts={"more": minus("with, share", "without, share")},
    says=f"Of {len(SCALES) * len(RATES)} settings of rate and initial scale, [without, share] % "
    f"reach {WORKS['full']} % test accuracy within {STEPS['full']} steps without BN, "
    "[with, share] % with it.",
    criterion=f"Reproduces if the share of the {len(SCALES)} x {len(RATES)} settings that reach "
    f"{WORKS['full']} % test accuracy grows by more than the size worth having.",
    conclude="BN saves tuning, in ReLU networks with five hidden layers. The share depends on how "
    "far the grid reaches, and says nothing about the best setting: for that see "
    "best_against_best.",
    unit="percent of the settings",
    worth=20.0,  # percent of the settings
)
