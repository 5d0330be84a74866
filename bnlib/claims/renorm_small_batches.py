"""Batch Renormalization where BN has too few examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, difference, overall, shown
from bnlib.network import mlp

SIZES = (2, 4)
EXAMPLES = {"full": 19_200, "notebook": 1_920}
RATE = 0.1 / 32  # for each example in the batch
WORTH = 3.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with BN and with Batch Renorm, in tiny batches."""
    return {
        f"{norm}, {n}": trained_percent(
            mlp(THREE, norm, seed=seed, dtype=np.float32),
            mnist(pool=True),
            EXAMPLES[size] // n,
            RATE * n,
            seed,
            batch_size=n,
        )
        for norm in ("batch", "renorm")
        for n in SIZES
    }


def gain(row: Row, n: int) -> float:
    return row[f"renorm, {n}"] - row[f"batch, {n}"]


def effect(row: Row) -> float:
    """In batches of two."""
    return gain(row, SIZES[0])


def judge(rows: Sequence[Row]) -> Verdict:
    gains = [difference([gain(row, n) for row in rows], WORTH) for n in SIZES]
    sentence = f"Test accuracy after {EXAMPLES['full']:,} images, BN | Batch Renorm: " + "; ".join(
        f"batches of {n} {shown(rows, f'batch, {n}')} | {shown(rows, f'renorm, {n}')} % "
        f"({d} points)"
        for n, d in zip(SIZES, gains)
    )
    return Verdict(overall(gains), sentence + ".")


CLAIM = Claim(
    id="renorm_small_batches",
    sentence="In tiny batches, Batch Renorm learns better than BN.",
    source="Ioffe 2017, section 4.2",
    paper="Inception-v3 on ImageNet, 4 images a statistic: 76.5 % with Renorm, 74.2 % with BN.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if Batch Renorm gains more than the size worth having in batches of "
        f"{SIZES[0]} and of {SIZES[1]}; partly if only in one. Dense network; the rate is "
        "proportional to the batch; limits of r and d relax over the first 100 batches."
    ),
    conclude=(
        "Statistics that remember earlier batches help where one batch says too little. LN needs "
        "no such memory (batch_size)."
    ),
    effect=effect,
    unit="points, batches of two",
    worth=WORTH,
)
