"""Overfitting, as the gap between training and test accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, THREE, few_images, percent_right
from bnlib.claims.engine.judging import Row, Verdict, best_rates, column, difference, overall, shown
from bnlib.network import mlp
from bnlib.training import Trainer, accuracy

IMAGES = 500
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = {"full": 1000, "notebook": 100}
FITTED = {"full": 98.0, "notebook": 80.0}  # percent of the training images
EVERY = 5  # steps between two looks
WORTH = 1.5  # points, an eighth of the gap


def run(norm: str | None, lr: float, seed: int, size: str) -> dict[str, float]:
    """Training and test accuracy in percent at the end, and the gap when `FITTED` is reached."""
    data = few_images(seed, IMAGES)
    net = mlp(THREE, norm=norm, seed=seed, dtype=np.float32)
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


def tune(seed: int) -> Row:
    return {
        f"{arm} {lr:g}": run(norm, lr, seed, "full")["test"]
        for arm, norm in ARMS.items()
        for lr in RATES
    }


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    rates = {"without": lr_without, "with": lr_with}
    return {
        f"{arm}, {name}": value
        for arm, norm in ARMS.items()
        for name, value in run(norm, rates[arm], seed, size).items()
    }


def effect(row: Row) -> float:
    """How much smaller the gap is with BN at the end."""
    gap = {arm: row[f"{arm}, train"] - row[f"{arm}, test"] for arm in ARMS}
    return gap["without"] - gap["with"]


def judge(rows: Sequence[Row]) -> Verdict:
    end = difference([effect(row) for row in rows], WORTH)
    fitted = difference(
        column(rows, "without, gap when fitted") - column(rows, "with, gap when fitted"), WORTH
    )
    accuracies = "; ".join(
        f"{arm} BN {shown(rows, f'{arm}, train')} % of the training images, "
        f"{shown(rows, f'{arm}, test')} % of the test images"
        for arm in ARMS
    )
    sentence = (
        f"At the end, {accuracies}: with BN the gap is smaller by {end} points; at the moment "
        f"when {FITTED['full']:g} % of the training images are right, by {fitted} points."
    )
    return Verdict(overall([end, fitted]), sentence)


CLAIM = Claim(
    id="overfitting_gap",
    sentence="With BN a network overfits less: test accuracy stays closer to training accuracy.",
    source="Ioffe & Szegedy 2015, section 3.4",
    paper="An observation on ImageNet, without a number for the gap.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the gap is smaller with BN by more than the size worth having, both at the "
        "end and at the moment when both networks fit the training images equally well; partly if "
        "at one of the two. 500 images; each network at its best rate."
    ),
    conclude=(
        "How far apart training and test accuracy are in a small network with few images. Where "
        "both networks fit every training image, a smaller gap is the same as a better test "
        "accuracy. It does not say that noise is the reason."
    ),
    effect=effect,
    unit="points",
    worth=WORTH,
    seeds=20,
    tune=tune,
    choose=choose,
)
