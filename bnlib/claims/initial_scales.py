"""The range of initial weights from which a network still learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, FIVE, mnist, trained_percent
from bnlib.claims.engine.judging import EdgeOfGrid, Row, Verdict, column, difference, overall, shown
from bnlib.network import mlp

SCALES = tuple(2.0**k for k in range(-12, 9))
RATE = 0.1
STEPS = {"full": 200, "notebook": 60}
LEARNS = {"full": (80, 60), "notebook": (40, 40)}  # percent; a strict and a mild meaning
WORTH = 2.0  # doublings


def run(norm: str | None, scale: float, seed: int, size: str) -> float:
    net = mlp(FIVE, norm=norm, init_scale=scale, seed=seed, dtype=np.float32)
    return trained_percent(net, mnist(pool=True), STEPS[size], RATE, seed)


def experiment(seed: int, size: str) -> Row:
    """How many doublings of the scale work, for both networks and both meanings of "learns"."""
    row = {}
    scales = SCALES if size == "full" else SCALES[::4]
    for arm, norm in ARMS.items():
        percent = [run(norm, scale, seed, size) for scale in scales]
        for name, least in zip(("strict", "mild"), LEARNS[size]):
            works = [value >= least for value in percent]
            if works[0] or works[-1]:
                raise EdgeOfGrid(f"{least} % are reached at the edge of the scales: extend them")
            row[f"{arm}, {name}"] = sum(works) * np.log2(scales[1] / scales[0])
    return row


def effect(row: Row) -> float:
    """How many doublings of the scale BN adds."""
    return row["with, strict"] - row["without, strict"]


def judge(rows: Sequence[Row]) -> Verdict:
    gain, parts = {}, []
    for name, least in zip(("strict", "mild"), LEARNS["full"]):
        gain[name] = difference(
            column(rows, f"with, {name}") - column(rows, f"without, {name}"), WORTH
        )
        parts.append(
            f"{least} % test accuracy from {shown(rows, f'without, {name}')} doublings of the "
            f"initial scale without BN and {shown(rows, f'with, {name}')} with it"
        )
    sentence = f"After {STEPS['full']} steps at rate {RATE:g}: " + "; ".join(parts) + "."
    return Verdict(overall(gain.values()), sentence)


CLAIM = Claim(
    id="initial_scales",
    sentence="With BN, training depends less on the scale of the initial weights.",
    source="Ioffe & Szegedy 2015, abstract and section 3.3",
    paper="An argument, BN(Wu) = BN(aWu), without a number.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the scales that learn span more doublings with BN by more than the size "
        "worth having, whether learning means 80 % test accuracy or 60 %; partly if only for one. "
        "One rate, five hidden layers of ReLUs."
    ),
    conclude=(
        "Careless initial weights cost little with BN, in ReLU networks with five hidden layers. "
        "Not nothing: a large scale makes the relative step small, a tiny one meets eps. With the "
        "right scale the network without BN learns too."
    ),
    effect=effect,
    unit="doublings of the scale",
    worth=WORTH,
)
