"""Residual blocks that start as the identity: gamma = 0 in the last BN of each."""

from functools import lru_cache

import numpy as np

from bnlib.claims.engine import Claim, Row, gains, rate_of, side_by_side, tuned_rates
from bnlib.claims.engine.experiments import POOLED, mnist, percent_of
from bnlib.layers import Dense, Layer, ReLU, Residual
from bnlib.network import Sequential
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

WIDTH, BLOCKS = 50, 16  # two Dense layers a block: 34 in all
ARMS = {"one": 1.0, "zero": 0.0}  # the names of the numbers -> gamma at the start
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)  # for the tuning
SAME = (0.1, 1.0)  # the rates at which both arms start
STEPS = {"full": (100, 500), "notebook": (15, 30)}  # of the early look and of the late one
PLACES = {
    "0.1, early": "rate 0.1, 100 steps",
    "1, early": "rate 1, 100 steps",
    "best, late": "each at its best rate, 500 steps",
}


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
    """Test accuracy in percent at the early and at the late look."""
    trainer, looks = Trainer(network(ARMS[arm], seed), mnist(pool=True), lr, 60, seed), []
    for steps in STEPS[size]:
        trainer.advance(steps - trainer.step_count)
        looks.append(percent_of(trainer))
    return tuple(looks)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent: early and late at the same rates, late at each arm's best one."""
    row = {}
    for arm in ARMS:
        for lr in SAME:
            row[f"{arm}, {lr:g}, early"], row[f"{arm}, {lr:g}, late"] = run(arm, lr, seed, size)
        row[f"{arm}, best, late"] = run(arm, tuned[rate_of(arm)], seed, size)[1]
    return row


CLAIM = Claim(
    id="gamma_zero_residual",
    sentence="Residual blocks that start with gamma = 0 in their last BN train better.",
    source="Goyal et al. 2017, section 5.1",
    paper="ResNet-50 on ImageNet: gamma = 0 in the last BN of each block makes the start of "
    "training easier, above all with large batches, whose rates are large.",
    experiment=experiment,
    parts=gains("zero", "one", PLACES),
    says=f"Test accuracy, gamma = 1 | gamma = 0: {side_by_side('one', 'zero', PLACES)}. At rate 1 "
    "after 500 steps [one, 1, late:.1f] | [zero, 1, late:.1f] %.",
    criterion="Reproduces if gamma = 0 is ahead by more than the size worth having early, at both "
    "rates, and late, each at its best rate; partly if in some of the three; not at this scale if "
    f"it can be so in none. {BLOCKS} blocks of two Dense layers with BN, no warm-up.",
    conclude="A deep network that starts as a shallow one bears a large rate from the first step. "
    "What remains of the lead at the best rates says whether it is more than a faster start.",
    effect_of=["1, early"],
    unit=f"points early, rate {SAME[1]:g}",
    worth=1.0,  # points of accuracy
    seeds=20,
    **tuned_rates(lambda arm, lr, seed: run(arm, lr, seed)[1], ARMS, RATES),
)
