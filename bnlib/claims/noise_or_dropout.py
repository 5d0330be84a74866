"""The noise of the batches as a regulariser, beside Dropout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import POOLED, few_images, trained_percent
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
from bnlib.layers import Activation, Layer
from bnlib.network import Sequential, mlp

IMAGES = 500  # so few that every network overfits
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = {"full": 300, "notebook": 100}
DROPPED = 0.2
KINDS = {
    "plain": (None, 0.0),
    "Dropout": (None, DROPPED),
    "BN": ("batch", 0.0),
    "BN and Dropout": ("batch", DROPPED),
}
WORTH = 1.0  # points of accuracy


class Dropout(Layer):
    """Sets a share p of its inputs to 0 in training mode and scales the rest by 1 / (1 - p)."""

    def __init__(self, p: float, rng: np.random.Generator) -> None:
        super().__init__()
        self.p, self.rng = p, rng

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not self.training:
            return x
        kept = self.rng.random(x.shape, np.float32) >= self.p
        self._cache = kept * x.dtype.type(1 / (1 - self.p))
        return x * self._cache

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self._cache


def run(kind: str, lr: float, seed: int, size: str = "full") -> float:
    norm, p = KINDS[kind]
    net = mlp([POOLED, 100, 100, 100, 10], norm, seed=seed, dtype=np.float32)
    if p:
        rng = np.random.default_rng(seed)  # one for all layers: each draws masks of its own
        layers = []
        for layer in net.layers:
            layers += [layer, Dropout(p, rng)] if isinstance(layer, Activation) else [layer]
        net = Sequential(layers)
    return trained_percent(net, few_images(seed, IMAGES), STEPS[size], lr, seed, 50, 10_000)


def tune(seed: int) -> Row:
    return {f"{kind} {lr:g}": run(kind, lr, seed) for kind in KINDS for lr in RATES}


def choose(rows: Sequence[Row]) -> dict[str, float]:
    return best_rates(rows, KINDS, RATES)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent of the four networks, each at its best rate."""
    return {kind: run(kind, tuned[rate_of(kind)], seed, size) for kind in KINDS}


def effect(row: Row) -> float:
    """What BN adds to the plain network."""
    return row["BN"] - row["plain"]


def judge(rows: Sequence[Row]) -> Verdict:
    bn = difference([effect(row) for row in rows], WORTH)
    dropout = difference(column(rows, "Dropout") - column(rows, "plain"), WORTH)
    on_top = difference(column(rows, "BN and Dropout") - column(rows, "BN"), WORTH)
    accuracies = ", ".join(f"{kind} {shown(rows, kind)} %" for kind in KINDS)
    sentence = (
        f"Test accuracy with {IMAGES} training images: {accuracies}. BN adds {bn} points to the "
        f"plain network, Dropout {dropout}, and {on_top} on top of BN."
    )
    if bn.better and not on_top.absent:
        return Verdict("partly" if on_top.better else "undecided", sentence)
    return Verdict(overall([bn]), sentence)


CLAIM = Claim(
    id="noise_or_dropout",
    sentence="The noise of the batches regularises, so that Dropout can be left out.",
    source="Ioffe & Szegedy 2015, section 3.4",
    paper="ImageNet, Inception: without Dropout and with less weight decay, validation accuracy "
    "improves.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if BN adds more than the size worth having to the plain network's test "
        "accuracy and Dropout adds less than that on top of BN; partly if BN adds it, but Dropout "
        "does too; each network at its own best rate."
    ),
    conclude=(
        "How BN and Dropout of 20 % compare in a small network with few images. Whatever BN adds "
        "need not come from the noise: BN also changes how fast the network learns. Nothing "
        "follows about large networks."
    ),
    effect=effect,
    unit="points",
    worth=WORTH,
    seeds=30,
    tune=tune,
    choose=choose,
)
