"""Whether statistics over parts of a large batch generalise better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import few_images, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, side_by_side
from bnlib.network import mlp

SIZES = [196, 100, 100, 100, 10]
IMAGES = 2000
BATCH = 500  # 31 ghost batches of at least 16
RATES = (0.1, 0.3)
STEPS = {"full": 300, "notebook": 120}
WORTH = 0.5  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with BN over the batch and over ghost batches, at two rates."""
    data = few_images(seed, IMAGES)
    return {
        f"{norm}, {lr:g}": trained_percent(
            mlp(SIZES, norm, seed=seed, dtype=np.float32),
            data,
            STEPS[size],
            lr,
            seed,
            batch_size=BATCH,
            count=10_000,
        )
        for norm in ("batch", "ghost")
        for lr in RATES
    }


def gain(row: Row, lr: float) -> float:
    return row[f"ghost, {lr:g}"] - row[f"batch, {lr:g}"]


def effect(row: Row) -> float:
    """The mean of both rates."""
    return sum(gain(row, lr) for lr in RATES) / len(RATES)


def judge(rows: Sequence[Row]) -> Verdict:
    places = {lr: f"rate {lr:g}" for lr in RATES}
    verdict, numbers = side_by_side(rows, ("batch", "ghost"), places, gain, WORTH)
    return Verdict(verdict, f"Test accuracy, batches of {BATCH}, BN | Ghost BN: {numbers}")


CLAIM = Claim(
    id="ghost_batches",
    sentence="In large batches, statistics over small parts (Ghost BN) generalise better.",
    source="Hoffer et al. 2017, section 4 and Table 1",
    paper="Image classifiers trained with batches of 4,096: up to some points of test accuracy.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if Ghost BN gains more than the size worth having at both rates, "
        f"{RATES[0]:g} and {RATES[1]:g}; partly if only at one. {IMAGES:,} images, batches of "
        f"{BATCH}, ghost batches of 16."
    ),
    conclude=(
        "What the noise of small batches is worth as a regulariser in a small dense network. "
        "The paper's networks and batches are far larger, and train far longer."
    ),
    effect=effect,
    unit="points, mean of both rates",
    worth=WORTH,
    seeds=20,
)
