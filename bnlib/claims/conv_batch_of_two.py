"""Batches of two images in a CNN: a channel still has hundreds of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import mnist, trained_percent
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Row,
    Verdict,
    difference,
    shown,
)
from bnlib.network import cnn

NORMS = {"none": None, "BN": "batch", "GN": "group"}
SIZES = (2, 32)
EXAMPLES = {"full": 6_400, "notebook": 640}
RATE = 0.1 / 32  # for each image in the batch
WORTH = 5.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of three CNNs at two batch sizes, the same images seen."""
    return {
        f"{arm}, {n}": trained_percent(
            cnn((1, 8, 16), norm, image_size=14, seed=seed, dtype=np.float32),
            mnist(pool=True, shape="image"),
            EXAMPLES[size] // n,
            RATE * n,
            seed,
            batch_size=n,
            count=1000,
        )
        for arm, norm in NORMS.items()
        for n in SIZES
    }


def loss(row: Row, arm: str) -> float:
    return row[f"{arm}, 32"] - row[f"{arm}, 2"]


def effect(row: Row) -> float:
    """What batches of two cost BN more than they cost the network without a norm."""
    return loss(row, "BN") - loss(row, "none")


def judge(rows: Sequence[Row]) -> Verdict:
    own = difference([loss(row, "BN") for row in rows], WORTH)
    more = difference([effect(row) for row in rows], WORTH)
    sentence = (
        f"Test accuracy after {EXAMPLES['full']:,} images, in batches of 2 | 32: "
        + "; ".join(
            f"{arm} {shown(rows, f'{arm}, 2')} | {shown(rows, f'{arm}, 32')} %" for arm in NORMS
        )
        + f". Batches of two cost BN {own} points, {more} more than the network without a norm."
    )
    if own.absent:
        return Verdict(REPRODUCES, sentence)
    if more.absent:
        return Verdict(PARTLY, sentence)
    return Verdict(NOT_HERE if own.better else UNDECIDED, sentence)


CLAIM = Claim(
    id="conv_batch_of_two",
    sentence="In a CNN, BN bears batches of two images.",
    source="Measured here; for small batches see Wu & He 2018, Figure 1",
    paper="ResNet-50 on ImageNet trains with BN at 2 images a worker, with an error 11 points "
    "higher than at 32.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if batches of 2 in place of 32 cost BN less than the size worth having; partly "
        "if they cost more, but not more than they cost the network without a norm. The rate is "
        "proportional to the batch, and all see the same number of images."
    ),
    conclude=(
        "Two images of 14 x 14 give each channel 392 values, so two directions less are nothing. "
        "That BN survives does not make it the best choice: compare with GN and with no norm."
    ),
    effect=effect,
    unit="points more than none",
    worth=WORTH,
)
