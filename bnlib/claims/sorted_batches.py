"""Evaluating with the statistics of the test batch, mixed or sorted by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, percent_right, test_images
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.network import Sequential, mlp
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

STEPS = {"full": 500, "notebook": 150}
IMAGES = 2000
BATCH = 32
WORTH = 10.0  # points of accuracy


def percent_in_batches(net: Sequential, order: np.ndarray) -> float:
    """Accuracy in percent in training mode, for batches cut from ``order``."""
    images, labels = test_images(mnist(pool=True), IMAGES)
    batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
    with net.as_it_was():
        net.train()
        right = [net(images[batch]).argmax(axis=1) == labels[batch] for batch in batches]
    return 100 * float(np.mean(right))


def percent_alone(net: Sequential) -> float:
    """Accuracy in percent for batches of one: x is its own mean, so every xhat is 0, y is beta."""
    images, labels = test_images(mnist(pool=True), IMAGES)
    x = images
    for layer in net.layers:
        x = np.tile(layer.beta, (len(x), 1)) if isinstance(layer, BatchNorm) else layer.forward(x)
    return 100 * float(np.mean(x.argmax(axis=1) == labels))


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of one network, by the statistics that it is tested with."""
    data = mnist(pool=True)
    net = mlp(THREE, "batch", seed=seed, dtype=np.float32)
    Trainer(net, data, 0.1, 64, seed).advance(STEPS[size])
    _, labels = test_images(data, IMAGES)
    return {
        "running": percent_right(net, data, IMAGES),
        "mixed": percent_in_batches(net, np.random.default_rng(seed).permutation(IMAGES)),
        "sorted": percent_in_batches(net, np.argsort(labels, kind="stable")),
        "alone": percent_alone(net),
    }


def effect(row: Row) -> float:
    """What sorting costs, against mixed batches of the same size."""
    return row["mixed"] - row["sorted"]


def judge(rows: Sequence[Row]) -> Verdict:
    sorting = difference([effect(row) for row in rows], WORTH)
    mixing = difference([row["running"] - row["mixed"] for row in rows], WORTH)
    sentence = (
        f"Test accuracy with running averages {shown(rows, 'running')} %, with the statistics of "
        f"mixed batches of {BATCH} {shown(rows, 'mixed')} %, of batches sorted by digit "
        f"{shown(rows, 'sorted')} % ({-sorting.mean:+.0f} points), of single images "
        f"{shown(rows, 'alone')} %."
    )
    if sorting.better:
        return Verdict("reproduces" if mixing.absent else "partly", sentence)
    return Verdict("not at this scale", sentence)


CLAIM = Claim(
    id="sorted_batches",
    sentence="Batch statistics at test time ruin the accuracy where a batch holds like images.",
    source="Measured here; for batches of like samples see Wu & Johnson 2021, section 6",
    paper="A review of what goes wrong when a batch holds samples that are alike, in training; our "
    "sorted test set is a plainer case.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"Reproduces if batches of {BATCH} images sorted by digit cost more than the size worth "
        "having against mixed ones, which cost less than that against running averages; partly if "
        "mixed ones cost as much."
    ),
    conclude=(
        "Forgetting .eval() is hard to notice on a shuffled test set, and fatal on a sorted one or "
        "on single images: BN subtracts what the images of a batch have in common, which is the "
        "digit. It does not follow that training on sorted batches does the same."
    ),
    effect=effect,
    unit="points",
    worth=WORTH,
)
