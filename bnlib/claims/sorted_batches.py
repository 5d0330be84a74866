"""Evaluating with the statistics of the test batch, mixed or sorted by class."""

import numpy as np

from bnlib.claims.engine import Claim, Row, minus, overall
from bnlib.claims.engine.experiments import THREE, mlp32, mnist, percent_right, test_images
from bnlib.network import Sequential
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

STEPS = {"full": 500, "notebook": 150}
IMAGES = 2000
BATCH = 32


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
    x, labels = test_images(mnist(pool=True), IMAGES)
    for layer in net.layers:
        x = np.tile(layer.beta, (len(x), 1)) if isinstance(layer, BatchNorm) else layer.forward(x)
    return 100 * float(np.mean(x.argmax(axis=1) == labels))


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of one network, by the statistics that it is tested with."""
    data = mnist(pool=True)
    net = mlp32(THREE, "batch", seed=seed)
    Trainer(net, data, 0.1, 64, seed).advance(STEPS[size])
    _, labels = test_images(data, IMAGES)
    return {
        "running": percent_right(net, data, IMAGES),
        "mixed": percent_in_batches(net, np.random.default_rng(seed).permutation(IMAGES)),
        "sorted": percent_in_batches(net, np.argsort(labels, kind="stable")),
        "alone": percent_alone(net),
    }


CLAIM = Claim(
    id="sorted_batches",
    sentence="Batch statistics at test time ruin the accuracy where a batch holds like images.",
    source="Measured here; for batches of like samples see Wu & Johnson 2021, section 6",
    paper="A review of what goes wrong when a batch holds samples that are alike, in training; our "
    "sorted test set is a plainer case.",
    experiment=experiment,
    parts={"sorting": minus("mixed", "sorted"), "mixing": minus("running", "mixed")},
    rule=lambda found: overall(found["sorting"], also=found["mixing"].absent),
    says=lambda rows, found: (
        "Test accuracy with running averages [running] %, with the statistics of mixed batches of "
        f"{BATCH} [mixed] %, of batches sorted by digit [sorted] % ({-found['sorting'].mean:+.0f} "
        "points), of single images [alone] %."
    ),
    criterion=f"Reproduces if batches of {BATCH} images sorted by digit cost more than the size "
    "worth having against mixed ones, which cost less than that against running averages; partly "
    "if mixed ones cost as much.",
    conclude="Forgetting .eval() is hard to notice on a shuffled test set, and fatal on a sorted "
    "one or on single images: BN subtracts what the images of a batch have in common, which is the "
    "digit. It does not follow that training on sorted batches does the same.",
    unit="points",
    worth=10.0,  # points of accuracy
)
