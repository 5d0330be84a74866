"""Accuracy against batch size, for BN and for norms that never look at the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, trained_percent
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Row,
    Verdict,
    column,
    difference,
    shown,
)
from bnlib.network import mlp

NORMS = {"none": None, "BN": "batch", "LN": "layer", "GN": "group"}
SIZES = (2, 4, 8, 32)  # examples in a batch
EXAMPLES = {"full": 19_200, "notebook": 1_920}  # seen in all, so small batches make more steps
RATE = 0.1 / 32  # for each example in the batch: the linear scaling rule
WORTH = 3.0  # points of accuracy


@lru_cache  # renorm_small_batches asks for some of the same runs
def percent(norm: str | None, n: int, seed: int, size: str) -> float:
    """Test accuracy in percent after all the examples, in batches of n."""
    net, steps = mlp(THREE, norm, seed=seed, dtype=np.float32), EXAMPLES[size] // n
    return trained_percent(net, mnist(pool=True), steps, RATE * n, seed, batch_size=n)


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of four networks at four batch sizes, the same images seen."""
    return {
        f"{arm}, {n}": percent(norm, n, seed, size) for arm, norm in NORMS.items() for n in SIZES
    }


def loss(row: Row, arm: str) -> float:
    """What the smallest batch costs, against the largest."""
    return row[f"{arm}, {SIZES[-1]}"] - row[f"{arm}, {SIZES[0]}"]


def effect(row: Row) -> float:
    """What batches of two cost with BN."""
    return loss(row, "BN")


def judge(rows: Sequence[Row]) -> Verdict:
    losses = {arm: difference([loss(row, arm) for row in rows], WORTH) for arm in NORMS}
    sentence = (
        f"Test accuracy in percent after {EXAMPLES['full']:,} images, in batches of "
        + ", ".join(map(str, SIZES))
        + ": "
        + "; ".join(
            f"{arm} " + ", ".join(f"{column(rows, f'{arm}, {n}').mean():.1f}" for n in SIZES)
            for arm in NORMS
        )
        + f". Batches of {SIZES[0]} cost BN {losses['BN']} points, LN {losses['LN']}, GN "
        f"{losses['GN']} (BN at {SIZES[0]}: {shown(rows, f'BN, {SIZES[0]}')} %)."
    )
    if losses["BN"].better:
        flat = losses["LN"].absent and losses["GN"].absent
        return Verdict(REPRODUCES if flat else PARTLY, sentence)
    return Verdict(NOT_HERE if losses["BN"].absent else UNDECIDED, sentence)


CLAIM = Claim(
    id="batch_size",
    sentence="BN gets worse in small batches; LN and GN do not.",
    source="Wu & He 2018, Figure 1 and Table 2",
    paper="ResNet-50 on ImageNet: error 24.1 % with GN at any batch size; with BN 23.6 % at 32 "
    "images a worker, 34.7 % at 2.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"Reproduces if batches of {SIZES[0]} in place of {SIZES[-1]} cost BN more than the size "
        "worth having, and LN and GN less than that; partly if they cost LN or GN as much. Dense "
        "network, three hidden layers; the rate is proportional to the batch, and all see the "
        "same number of images."
    ),
    conclude=(
        "BN needs batches, and in a dense network two examples are none: next to nothing passes "
        "back through it. What has its statistics inside one example does not notice. It does not "
        "say that these are better elsewhere: compare with the network without a norm, and see "
        "conv_batch_of_two for images."
    ),
    effect=effect,
    unit="points, BN",
    worth=WORTH,
)
