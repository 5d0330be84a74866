"""The noise of the batches as a regulariser, beside Dropout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, few_images, trained_percent
from bnlib.claims.engine.judging import (
    Difference,
    Row,
    Verdict,
    best_rates,
    column,
    difference,
    rate_of,
    shown,
)
from bnlib.layers import Activation, Dropout
from bnlib.network import Sequential, mlp

IMAGES = 500  # so few that every network overfits
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = {"full": 1000, "notebook": 100}
DROPPED = 0.2
KINDS = {
    "plain": (None, 0.0),
    "Dropout": (None, DROPPED),
    "BN": ("batch", 0.0),
    "BN and Dropout": ("batch", DROPPED),
}
WORTH = 1.0  # points of accuracy; one error in twelve


def run(kind: str, lr: float, seed: int, size: str = "full") -> float:
    norm, p = KINDS[kind]
    net = mlp(THREE, norm=norm, seed=seed, dtype=np.float32)
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
    """Test accuracy in percent, each network at its best rate, and BN at the plain one's."""
    row = {kind: run(kind, tuned[rate_of(kind)], seed, size) for kind in KINDS}
    return row | {"BN, plain's rate": run("BN", tuned["lr_plain"], seed, size)}


def effect(row: Row) -> float:
    """What BN adds to the plain network at that one's rate, where only the noise can do it."""
    return row["BN, plain's rate"] - row["plain"]


def judge(rows: Sequence[Row]) -> Verdict:
    def gain(more: str, less: str) -> Difference:
        return difference(column(rows, more) - column(rows, less), WORTH)

    noise, on_top = gain("BN, plain's rate", "plain"), gain("BN and Dropout", "BN")
    accuracies = ", ".join(f"{kind} {shown(rows, kind)} %" for kind in KINDS)
    sentence = (
        f"Test accuracy with {IMAGES} training images, each network at its best rate: "
        f"{accuracies}. BN adds {gain('BN', 'plain')} points to the plain network, Dropout "
        f"{gain('Dropout', 'plain')}, and {on_top} on top of BN; at the plain network's rate BN "
        f"adds {noise}."
    )
    if noise.better and on_top.absent:
        return Verdict("reproduces", sentence)
    if noise.better or (on_top.absent and noise.absent):
        return Verdict("partly", sentence)
    return Verdict("not at this scale" if on_top.better and noise.absent else "undecided", sentence)


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
        "accuracy at that network's best rate, where a larger rate cannot be the reason, and if "
        "Dropout adds less than that on top of BN, each at its best rate; partly if one of the two "
        "holds; not at this scale if neither."
    ),
    conclude=(
        "Whether Dropout of 20 % is worth having beside BN in a small network with few images, and "
        "whether the noise is what BN gains by. Nothing follows about large networks."
    ),
    effect=effect,
    unit="points at the same rate",
    worth=WORTH,
    seeds=20,
    tune=tune,
    choose=choose,
)
