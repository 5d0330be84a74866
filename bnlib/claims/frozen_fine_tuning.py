"""Fine-tuning on few images with BN in training mode, or frozen at its running statistics."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist
from bnlib.claims.engine.judging import Row, Verdict, side_by_side
from bnlib.losses import softmax_cross_entropy
from bnlib.network import mlp
from bnlib.norms import BatchNorm
from bnlib.optim import SGD
from bnlib.training import Trainer, accuracy

STEPS = {"full": 1000, "notebook": 200}
IMAGES, TUNING, RATE = 100, 200, 0.02
BATCHES = (2, 16)
WORTH = 1.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Digits 0 to 4, then 5 to 9 with 100 images: test accuracy in percent on 5 to 9."""
    data, row = mnist(pool=True), {}
    first = data.y_train < 5
    before = replace(data, x_train=data.x_train[first], y_train=data.y_train[first])
    net = mlp(THREE, "batch", seed=seed, dtype=np.float32)
    Trainer(net, before, 0.1, 64, seed).advance(STEPS[size])
    rng = np.random.default_rng(seed)
    few = rng.choice(np.flatnonzero(~first), IMAGES, replace=False)
    x, labels = data.batch(few, np.float32)
    test_x, test_labels = data.test_batch(5000, np.float32)
    new = test_labels >= 5
    for batch in BATCHES:
        order = [rng.choice(IMAGES, batch, replace=False) for _ in range(TUNING)]
        for arm in ("frozen", "training"):
            twin = copy.deepcopy(net).train()
            for layer in twin.layers:
                if isinstance(layer, BatchNorm) and arm == "frozen":
                    layer.eval()
            optimizer = SGD(twin, RATE)
            for chosen in order:
                _, dlogits = softmax_cross_entropy(twin(x[chosen]), labels[chosen])
                twin.backward(dlogits, input_gradient=False)
                optimizer.step()
            row[f"{arm}, {batch}"] = 100 * accuracy(twin, test_x[new], test_labels[new])
    return row


def gain(row: Row, batch: int) -> float:
    return row[f"frozen, {batch}"] - row[f"training, {batch}"]


def effect(row: Row) -> float:
    """Points by which frozen BN is ahead with batches of 2."""
    return gain(row, BATCHES[0])


def judge(rows: Sequence[Row]) -> Verdict:
    places = {batch: f"batches of {batch}" for batch in BATCHES}
    verdict, numbers = side_by_side(rows, ("frozen", "training"), places, gain, WORTH)
    start = f"Test accuracy on 5 to 9 after {TUNING} steps on {IMAGES} images"
    return Verdict(verdict, f"{start}, BN frozen | in training mode: {numbers}")


CLAIM = Claim(
    id="frozen_fine_tuning",
    sentence="Fine-tuning on few images goes better with BN frozen.",
    source="A common practice in detection; see Wu & Johnson 2021; measured here",
    paper="Frozen BN is used where batches are small: the statistics of the first task are kept.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if frozen BN is ahead by more than the size worth having with batches of 2 and "
        "of 16; partly if with one of them; not at this scale if it can be so in neither."
    ),
    conclude=(
        "Frozen BN is a fixed scale and shift: it has no noise, and no statistics of the new "
        "images either. Which of the two matters more is a question of the batch size."
    ),
    effect=effect,
    unit="points, batches of 2",
    worth=WORTH,
    seeds=10,
)
