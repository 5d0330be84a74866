"""Residual blocks that start as the identity: gamma = 0 in the last BN of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import GUESSING, POOLED, mnist, percent_right
from bnlib.claims.engine.judging import (
    Row,
    Verdict,
    best_rates,
    column,
    difference,
    overall,
    rate_of,
    shown,
)
from bnlib.layers import Dense, Layer, ReLU, Residual
from bnlib.network import Sequential
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

WIDTH, BLOCKS = 50, 16  # two Dense layers a block: 34 in all
ARMS = {"one": 1.0, "zero": 0.0}  # the names of the numbers -> gamma at the start
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # for the tuning
SAME = (0.1, 1.0)  # the rates at which both arms start
STEPS = {"full": (100, 500), "notebook": (15, 30)}  # of the early look and of the late one
WORTH = 1.0  # points of accuracy


def network(gamma: float, seed: int) -> Sequential:
    """Dense, BN and ReLU, then the blocks of He et al. 2016, a ReLU behind each, and a Dense."""
    rng = np.random.default_rng(seed)

    def normed(fan_in: int) -> list[Layer]:
        std = (2 / fan_in) ** 0.5
        dense = Dense(fan_in, WIDTH, bias=False, std=std, rng=rng, dtype=np.float32)
        return [dense, BatchNorm(WIDTH, dtype=np.float32)]

    layers = [*normed(POOLED), ReLU()]
    for _ in range(BLOCKS):
        branch = [*normed(WIDTH), ReLU(), *normed(WIDTH)]
        branch[-1].gamma = gamma
        layers += [Residual(branch), ReLU()]
    return Sequential([*layers, Dense(WIDTH, 10, rng=rng, dtype=np.float32)])


@lru_cache  # a best rate may be one of SAME
def run(arm: str, lr: float, seed: int, size: str = "full") -> tuple[float, float]:
    """Test accuracy in percent at the early and at the late look; 10 if it diverged."""
    data, looks = mnist(pool=True), []
    trainer = Trainer(network(ARMS[arm], seed), data, lr, 60, seed)
    for steps in STEPS[size]:
        trainer.advance(steps - trainer.step_count)
        diverged = trainer.diverged_at is not None
        looks.append(GUESSING if diverged else percent_right(trainer.net, data))
    return tuple(looks)


def tune(seed: int) -> Row:
    return {f"{arm} {lr:g}": run(arm, lr, seed)[1] for arm in ARMS for lr in RATES}


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent: early and late at the same rates, late at each arm's best one."""
    row = {}
    for arm in ARMS:
        for lr in SAME:
            row[f"{arm}, {lr:g}, early"], row[f"{arm}, {lr:g}, late"] = run(arm, lr, seed, size)
        row[f"{arm}, best, late"] = run(arm, tuned[rate_of(arm)], seed, size)[1]
    return row


def gain(row: Row, place: str) -> float:
    return row[f"zero, {place}"] - row[f"one, {place}"]


def effect(row: Row) -> float:
    """What gamma = 0 gains early at the large rate."""
    return gain(row, f"{SAME[1]:g}, early")


def judge(rows: Sequence[Row]) -> Verdict:
    early, late = STEPS["full"]
    places = {
        f"{SAME[0]:g}, early": f"rate {SAME[0]:g}, {early} steps",
        f"{SAME[1]:g}, early": f"rate {SAME[1]:g}, {early} steps",
        "best, late": f"each at its best rate, {late} steps",
    }
    gains = {place: difference([gain(row, place) for row in rows], WORTH) for place in places}
    numbers = "; ".join(
        f"{words} {shown(rows, f'one, {place}')} | {shown(rows, f'zero, {place}')} % "
        f"({gains[place]} points)"
        for place, words in places.items()
    )
    means = [column(rows, f"{arm}, {SAME[1]:g}, late").mean() for arm in ARMS]
    return Verdict(
        overall(gains.values()),
        f"Test accuracy, gamma = 1 | gamma = 0: {numbers}. At rate {SAME[1]:g} after {late} steps "
        f"{means[0]:.1f} | {means[1]:.1f} %.",
    )


CLAIM = Claim(
    id="gamma_zero_residual",
    sentence="Residual blocks that start with gamma = 0 in their last BN train better.",
    source="Goyal et al. 2017, section 5.1",
    paper="ResNet-50 on ImageNet: gamma = 0 in the last BN of each block makes the start of "
    "training easier, above all with large batches, whose rates are large.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if gamma = 0 is ahead by more than the size worth having early, at both rates, "
        "and late, each at its best rate; partly if in some of the three; not at this scale if it "
        f"can be so in none. {BLOCKS} blocks of two Dense layers with BN, no warm-up."
    ),
    conclude=(
        "A deep network that starts as a shallow one bears a large rate from the first step. What "
        "remains of the lead at the best rates says whether it is more than a faster start."
    ),
    effect=effect,
    unit=f"points early, rate {SAME[1]:g}",
    worth=WORTH,
    seeds=20,
    tune=tune,
    choose=choose,
)
