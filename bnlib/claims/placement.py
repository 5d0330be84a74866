"""BN before or after the nonlinearity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, trained_percent
from bnlib.claims.engine.judging import (
    Row,
    Verdict,
    best_rates,
    column,
    difference,
    overall,
    rate_of,
)
from bnlib.network import mlp

RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LARGE = 3.0  # a rate beyond the best ones
STEPS = {"full": 300, "notebook": 100}
ACTIVATIONS = ("relu", "sigmoid")
PLACES = ("before", "after")
ARMS = [f"{activation} {place}" for activation in ACTIVATIONS for place in PLACES]
WORTH = 1.0  # points of accuracy


def run(arm: str, lr: float, seed: int, size: str = "full") -> float:
    activation, place = arm.split()
    net = mlp(
        THREE,
        norm="batch",
        norm_position=place,
        activation=activation,
        seed=seed,
        dtype=np.float32,
    )
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def tune(seed: int) -> Row:
    return {f"{arm} {lr:g}": run(arm, lr, seed) for arm in ARMS for lr in RATES}


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, ARMS, RATES)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent of every arm, at its best rate and at a large one."""
    best = {f"{arm}, best": run(arm, tuned[rate_of(arm)], seed, size) for arm in ARMS}
    return best | {f"{arm}, large": run(arm, LARGE, seed, size) for arm in ARMS}


def before_minus_after(row: Row, activation: str, rate: str) -> float:
    return row[f"{activation} before, {rate}"] - row[f"{activation} after, {rate}"]


def effect(row: Row) -> float:
    """Before minus after, at the best rates, the mean over both nonlinearities."""
    return sum(before_minus_after(row, activation, "best") for activation in ACTIVATIONS) / 2


def judge(rows: Sequence[Row]) -> Verdict:
    gain = {
        (activation, rate): difference(
            [before_minus_after(row, activation, rate) for row in rows], WORTH
        )
        for activation in ACTIVATIONS
        for rate in ("best", "large")
    }
    mean = {name: column(rows, name).mean() for name in rows[0]}
    parts = [
        f"{activation} {gain[activation, rate]} points "
        f"({mean[f'{activation} before, {rate}']:.1f} and "
        f"{mean[f'{activation} after, {rate}']:.1f} %)"
        for rate in ("best", "large")
        for activation in ACTIVATIONS
    ]
    sentence = (
        f"Test accuracy before minus after, each at its best rate: {parts[0]}, {parts[1]}; "
        f"at a rate of {LARGE:g}: {parts[2]}, {parts[3]}."
    )
    if all(gain[activation, "best"].better for activation in ACTIVATIONS):
        return Verdict("reproduces", sentence)
    return Verdict(overall(gain.values()), sentence)


CLAIM = Claim(
    id="placement",
    sentence="BN belongs before the nonlinearity.",
    source="Ioffe & Szegedy 2015, section 3.2",
    paper="An argument: Wu + b is more symmetric, more Gaussian, than the output of a "
    "nonlinearity.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if before beats after by more than the size worth having at the best rates, "
        "with ReLUs and with sigmoids; partly if only with one of them, or only at a large rate."
    ),
    conclude=(
        "Whether the place decides about accuracy after few steps, and about the rates that work, "
        "in networks with three hidden layers. In practice convolution, BN, ReLU is the usual "
        "order; nothing here contradicts or proves that for deep networks."
    ),
    effect=effect,
    unit="points at the best rates",
    worth=WORTH,
    seeds=20,
    tune=tune,
    choose=choose,
)
