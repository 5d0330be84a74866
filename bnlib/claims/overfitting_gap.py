"""Overfitting, as the gap between training and test accuracy."""

import numpy as np

from bnlib.claims.engine import Claim, Row, minus, rate_of, tuned_rates
from bnlib.claims.engine.experiments import ARMS, THREE, few_images, mlp32, percent_right
from bnlib.training import Trainer, accuracy

IMAGES = 500
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = {"full": 1000, "notebook": 100}
FITTED = {"full": 98.0, "notebook": 80.0}  # percent of the training images
EVERY = 5  # steps between two looks


def run(arm: str, lr: float, seed: int, size: str = "full") -> dict[str, float]:
    """Training and test accuracy in percent at the end, and the gap when `FITTED` is reached."""
    data = few_images(seed, IMAGES)
    net = mlp32(THREE, ARMS[arm], seed=seed)
    trainer = Trainer(net, data, lr, 50, seed)
    images, labels = data.batch(slice(None), np.float32)
    train = gap = 0.0
    while train < FITTED[size] and trainer.step_count < STEPS[size] and trainer.diverged_at is None:
        trainer.advance(EVERY)
        train = 100 * accuracy(net, images, labels)
        gap = train - percent_right(net, data, 10_000) if train >= FITTED[size] else 0.0
    trainer.advance(STEPS[size] - trainer.step_count)
    train, test = 100 * accuracy(net, images, labels), percent_right(net, data, 10_000)
    return {"train": train, "test": test, "gap when fitted": gap or train - test}


def experiment(seed: int, size: str, **tuned: float) -> Row:
    return {
        f"{arm}, {name}": value
        for arm in ARMS
        for name, value in run(arm, tuned[rate_of(arm)], seed, size).items()
    }


def smaller_at_the_end(row: Row) -> float:
    without, with_bn = (row[f"{arm}, train"] - row[f"{arm}, test"] for arm in ARMS)
    return without - with_bn


CLAIM = Claim(
    id="overfitting_gap",
    sentence="With BN a network overfits less: test accuracy stays closer to training accuracy.",
    source="Ioffe & Szegedy 2015, section 3.4",
    paper="An observation on ImageNet, without a number for the gap.",
    experiment=experiment,
    parts={
        "at the end": smaller_at_the_end,
        "when fitted": minus("without, gap when fitted", "with, gap when fitted"),
    },
    says="At the end, "
    + "; ".join(
        f"{arm} BN [{arm}, train] % of the training images, [{arm}, test] % of the test images"
        for arm in ARMS
    )
    + ": with BN the gap is smaller by [at the end] points; at the moment when "
    f"{FITTED['full']:g} % of the training images are right, by [when fitted] points.",
    criterion="Reproduces if the gap is smaller with BN by more than the size worth having, both "
    "at the end and at the moment when both networks fit the training images equally well; partly "
    "if at one of the two. 500 images; each network at its best rate.",
    conclude="How far apart training and test accuracy are in a small network with few images. "
    "Where both networks fit every training image, a smaller gap is the same as a better test "
    "accuracy. It does not say that noise is the reason.",
    unit="points",
    worth=1.5,  # points, an eighth of the gap
    seeds=20,
    **tuned_rates(lambda arm, lr, seed: run(arm, lr, seed)["test"], ARMS, RATES),
)
