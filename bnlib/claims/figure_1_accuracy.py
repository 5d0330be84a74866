"""Figure 1 (a) of Ioffe & Szegedy 2015: test accuracy while the network of the paper trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, GUESSING, mnist, percent_right, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, best_rates, column, difference
from bnlib.network import Sequential, mlp
from bnlib.training import Trainer

STEPS = {"full": 5000, "notebook": 400}
LOOKS = {"10 %": 0.1, "20 %": 0.2, "40 %": 0.4, "100 %": 1.0}  # of the steps
RATE = 0.1  # the paper does not give its own
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
TUNING_STEPS = 2000
WORTH = 1.0  # points of accuracy


def network(norm: str | None, seed: int) -> Sequential:
    return mlp([784, 100, 100, 100, 10], norm, "sigmoid", seed=seed, dtype=np.float32)


def tune(seed: int) -> Row:
    data = mnist(binary=True)
    return {
        f"{arm} {lr:g}": trained_percent(network(norm, seed), data, TUNING_STEPS, lr, seed)
        for arm, norm in ARMS.items()
        for lr in RATES
    }


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    """Test accuracies in percent, at the looks, of both networks at both rates."""
    data, row = mnist(binary=True), {}
    for arm, norm in ARMS.items():
        own = lr_with if norm else lr_without
        for name, lr in (("same rate", RATE), ("own rate", own)):
            net = network(norm, seed)
            trainer = Trainer(net, data, lr, 60, seed)
            for look, share in LOOKS.items():
                trainer.advance(round(share * STEPS[size]) - trainer.step_count)
                diverged = trainer.diverged_at is not None
                percent = GUESSING if diverged else percent_right(net, data, 10_000)
                row[f"{arm}, {name}, {look}"] = percent
    return row


def gain(row: Row, name: str, look: str) -> float:
    return row[f"with, {name}, {look}"] - row[f"without, {name}, {look}"]


def effect(row: Row) -> float:
    """The gain after a fifth of the steps, each network at its own best rate."""
    return gain(row, "own rate", "20 %")


def judge(rows: Sequence[Row]) -> Verdict:
    parts, better = [], []
    for name, words in (("same rate", f"at rate {RATE:g}"), ("own rate", "at its best rate each")):
        looks = []
        for look, share in LOOKS.items():
            d = difference([gain(row, name, look) for row in rows], WORTH)
            better.append(d.better)
            means = [column(rows, f"{arm}, {name}, {look}").mean() for arm in ARMS]
            looks.append(f"{share * STEPS['full']:,.0f}: {means[0]:.1f} | {means[1]:.1f} ({d})")
        parts.append(f"{words}, {', '.join(looks)}")
    sentence = (
        "Test accuracy in percent after so many steps, without | with BN (difference): "
        + "; ".join(parts)
        + "."
    )
    if all(better):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if any(better) else "not at this scale", sentence)


CLAIM = Claim(
    id="figure_1_accuracy",
    sentence="With BN the network learns faster and reaches a higher test accuracy.",
    source="Ioffe & Szegedy 2015, section 4.1 and Figure 1 (a)",
    paper="The same network and images, 50,000 steps of 60 images: the curve with BN lies above "
    "the other one from the start to the end. The learning rate is not given.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"Reproduces if the network with BN is ahead by more than the size worth having after "
        f"500, 1,000, 2,000 and 5,000 steps, both at the same rate, {RATE:g}, and with the best "
        "rate of each; partly if only in some of the eight comparisons."
    ),
    conclude=(
        "The picture of the paper comes out at the same rate. How much of it is left once the "
        "other network has its own best rate is in the second half of the numbers. These are the "
        "first 5,000 of the paper's 50,000 steps, for sigmoids with weights of scale 1: nothing "
        "about the end of a long training, and nothing about ReLUs."
    ),
    effect=effect,
    unit="points after 1,000 steps, best rates",
    worth=WORTH,
    tune=tune,
    choose=choose,
)
