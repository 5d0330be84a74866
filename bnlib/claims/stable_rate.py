"""The largest learning rate at which a network still learns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, FIVE, mnist, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, column, difference, last_that_works, overall
from bnlib.network import mlp

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
STEPS = {"full": 300, "notebook": 100}
LEARNS = {"full": (80, 60), "notebook": (40, 40)}  # percent; a strict and a mild meaning
WORTH = 0.5  # powers of ten: about one value of the grid


def run(norm: str | None, lr: float, seed: int, size: str) -> float:
    net = mlp(FIVE, norm=norm, seed=seed, dtype=np.float32)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def experiment(seed: int, size: str) -> Row:
    """log10 of the largest rate of both networks, for both meanings of "learns"."""
    row = {}
    for arm, norm in ARMS.items():
        percent = [run(norm, lr, seed, size) for lr in RATES]
        for name, least in zip(("strict", "mild"), LEARNS[size]):
            largest = last_that_works(RATES, [value >= least for value in percent])
            row[f"{arm}, {name}"] = math.log10(largest)
    return row


def effect(row: Row) -> float:
    """How many powers of ten the largest rate grows by."""
    return row["with, strict"] - row["without, strict"]


def judge(rows: Sequence[Row]) -> Verdict:
    gain, parts = {}, []
    for name, least in zip(("strict", "mild"), LEARNS["full"]):
        without, with_bn = column(rows, f"without, {name}"), column(rows, f"with, {name}")
        gain[name] = difference(with_bn - without, WORTH)
        parts.append(
            f"for {least} % test accuracy {10 ** np.median(without):.2g} without BN and "
            f"{10 ** np.median(with_bn):.2g} with it, {10 ** gain[name].mean:.2g} times as large "
            f"({gain[name]} powers of ten)"
        )
    sentence = f"Largest rate (median) after {STEPS['full']} steps: " + "; ".join(parts) + "."
    return Verdict(overall(gain.values()), sentence)


CLAIM = Claim(
    id="stable_rate",
    sentence="BN makes larger learning rates possible.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="ImageNet, Inception: 30 times the original rate works, and is the most accurate.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the largest rate at which the network learns grows by more than the size "
        "worth having, whether learning means 80 % test accuracy or 60 %; partly if only for one."
    ),
    conclude=(
        "The rates that work reach higher with BN, in ReLU networks with five hidden layers. Not "
        "that larger rates are better (best_against_best), nor that BN allows any rate."
    ),
    effect=effect,
    unit="powers of ten",
    worth=WORTH,
)
