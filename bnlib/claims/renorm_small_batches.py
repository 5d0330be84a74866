"""Batch Renormalization where BN has too few examples."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.batch_size import EXAMPLES, percent
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict, side_by_side

SIZES = (2, 4)
WORTH = 3.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with BN and with Batch Renorm, in tiny batches."""
    return {
        f"{norm}, {n}": percent(norm, n, seed, size) for norm in ("batch", "renorm") for n in SIZES
    }


def gain(row: Row, n: int) -> float:
    return row[f"renorm, {n}"] - row[f"batch, {n}"]


def effect(row: Row) -> float:
    """In batches of two."""
    return gain(row, SIZES[0])


def judge(rows: Sequence[Row]) -> Verdict:
    places = {n: f"batches of {n}" for n in SIZES}
    verdict, numbers = side_by_side(rows, ("batch", "renorm"), places, gain, WORTH)
    images = f"{EXAMPLES['full']:,} images"
    return Verdict(verdict, f"Test accuracy after {images}, BN | Batch Renorm: {numbers}")


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
