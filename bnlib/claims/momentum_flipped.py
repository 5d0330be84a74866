"""Momentum 0.9 where 0.1 is meant: what it costs, with small and with larger batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, percent_right
from bnlib.claims.engine.judging import Row, Verdict, side_by_side
from bnlib.network import mlp
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

STEPS = {"full": 1000, "notebook": 200}
BATCHES = (4, 64)
RATE = 0.05
LAST = 50  # steps in which the averages forget where they started, at either momentum
WORTH = 1.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with both momenta, of the same training: it never reads them."""
    data, row = mnist(pool=True), {}
    for batch in BATCHES:
        net = mlp(THREE, "batch", seed=seed, dtype=np.float32)
        Trainer(net, data, RATE, batch, seed).advance(STEPS[size] - LAST)
        for momentum in (0.1, 0.9):
            twin = copy.deepcopy(net)
            for layer in twin.layers:
                if isinstance(layer, BatchNorm):
                    layer.momentum = momentum
            Trainer(twin, data, RATE, batch, seed + 1).advance(LAST)
            row[f"{momentum}, {batch}"] = percent_right(twin, data, 5000)
    return row


def cost(row: Row, batch: int) -> float:
    return row[f"0.1, {batch}"] - row[f"0.9, {batch}"]


def effect(row: Row) -> float:
    """Points that momentum 0.9 costs with batches of 4."""
    return cost(row, BATCHES[0])


def judge(rows: Sequence[Row]) -> Verdict:
    places = {batch: f"batches of {batch}" for batch in BATCHES}
    verdict, numbers = side_by_side(rows, ("0.1", "0.9"), places, cost, WORTH)
    return Verdict(verdict, f"Test accuracy at momentum 0.1 | 0.9: {numbers}")


CLAIM = Claim(
    id="momentum_flipped",
    sentence="Momentum 0.9 where 0.1 is meant costs accuracy at test time.",
    source="d2l-ai/d2l-en pull request 2213, on the meaning of momentum; measured here",
    paper="No figure: libraries give the name momentum to opposite weights.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if 0.9 costs more than the size worth having with batches of 4 and of 64; "
        "partly if with one of them; not at this scale if neither can cost so much."
    ),
    conclude=(
        "At 0.9 the running averages are little more than the last batch, so the cost is that of "
        "a batch's noise: it depends on the batch size, and training shows nothing of it."
    ),
    effect=effect,
    unit="points, batches of 4",
    worth=WORTH,
    seeds=10,
)
