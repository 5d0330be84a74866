"""A CNN that trains on one image at a time, with BN and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, GUESSING, mnist, percent_right, test_images
from bnlib.claims.engine.experiments import trained_percent as percent
from bnlib.claims.engine.judging import Row, Verdict, best_rates, difference, shown
from bnlib.network import Sequential, cnn

STEPS = {"full": 1000, "notebook": 200}
RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
RATE = 0.02  # the same for both
ALONE = 500  # test images, one by one
WORTH = 3.0  # points of accuracy


def network(norm: str | None, seed: int) -> Sequential:
    return cnn((1, 8, 16), norm, image_size=14, seed=seed, dtype=np.float32)


def tune(seed: int) -> Row:
    data = mnist(pool=True, shape="image")
    return {
        f"{arm} {lr:g}": percent(network(norm, seed), data, STEPS["full"], lr, seed, batch_size=1)
        for arm, norm in ARMS.items()
        for lr in RATES
    }


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    """Test accuracy in percent after steps of one image; with BN also in training mode, where every
    test image alone is normalised with its own statistics, on ALONE images."""
    data, row = mnist(pool=True, shape="image"), {}
    for arm, norm in ARMS.items():
        for name, lr in (("same rate", RATE), ("own rate", lr_with if norm else lr_without)):
            net = network(norm, seed)
            row[f"{arm}, {name}"] = percent(net, data, STEPS[size], lr, seed, batch_size=1)
            if norm and name == "own rate":
                finite = row[f"{arm}, {name}"] != GUESSING
                row["with, running"] = percent_right(net, data, ALONE) if finite else GUESSING
                row["with, alone"] = alone(net) if finite else GUESSING
    return row


def alone(net: Sequential) -> float:
    """Accuracy in percent in training mode, one image at a time: BN is instance normalization."""
    images, labels = test_images(mnist(pool=True, shape="image"), ALONE)
    with net.as_it_was():
        net.train()
        answers = [net(images[i : i + 1]).argmax() for i in range(ALONE)]
    return 100 * float(np.mean(answers == labels))


def gain(row: Row, name: str) -> float:
    return row[f"with, {name}"] - row[f"without, {name}"]


def effect(row: Row) -> float:
    """Each network at its best rate."""
    return gain(row, "own rate")


def judge(rows: Sequence[Row]) -> Verdict:
    gains = {
        name: difference([gain(row, name) for row in rows], WORTH)
        for name in ("same rate", "own rate")
    }
    mode = difference([row["with, alone"] - row["with, running"] for row in rows], WORTH)
    sentence = (
        f"Test accuracy after {STEPS['full']} steps of one image, without | with BN: "
        + "; ".join(
            f"{name} {shown(rows, f'without, {name}')} | {shown(rows, f'with, {name}')} % "
            f"({d} points)"
            for name, d in gains.items()
        )
        + f". With BN and every image normalised by its own statistics, as in training, {mode} "
        "points more than with running averages."
    )
    better = [d.better for d in gains.values()]
    if any(better):
        return Verdict("reproduces" if all(better) else "partly", sentence)
    absent = all(d.absent for d in gains.values())
    return Verdict("not at this scale" if absent else "undecided", sentence)


CLAIM = Claim(
    id="cnn_batch_of_one",
    sentence="A CNN that learns from one image at a time learns better with BN.",
    source="Measured here; for small batches see Wu & He 2018, Figure 1",
    paper="ResNet-50 on ImageNet: the error of BN rises as the batch gets smaller, down to the 2 "
    "images that are the fewest there.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"Reproduces if BN is ahead by more than the size worth having at the same rate, {RATE:g}, "
        "and at the best rate of each network; partly if only in one comparison; not at this scale "
        "if neither can hold so much."
    ),
    conclude=(
        "BN over one image works in a CNN, since a map holds many values: that it works says "
        "little, as the network without BN learns too. With N = 1 BN is instance normalization in "
        "training only: at test time it uses averages over many images."
    ),
    effect=effect,
    unit="points, best rates",
    worth=WORTH,
    seeds=20,
    tune=tune,
    choose=choose,
)
