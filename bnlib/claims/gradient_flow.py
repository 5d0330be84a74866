"""How the gradient gets through a deep network before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, POOLED, mnist
from bnlib.claims.engine.judging import (
    Row,
    Verdict,
    column,
    difference,
    overall,
    shown,
)
from bnlib.network import mlp
from bnlib.profile import signal_profile

DEPTH = {"full": 16, "notebook": 8}
BATCH = 256
WORTH = 0.05  # powers of ten a layer: a factor of ten in twenty layers


def experiment(seed: int, size: str) -> Row:
    """log10 of the factor by which the weights' gradient grows from a layer to the one below it."""
    depth = DEPTH[size]
    indices = np.random.default_rng(seed).choice(60_000, BATCH, replace=False)
    x, labels = mnist(pool=True).batch(indices)
    row = {}
    for activation in ("sigmoid", "relu"):
        for arm, norm in ARMS.items():
            net = mlp([POOLED] + [100] * depth + [10], norm=norm, activation=activation, seed=seed)
            norms = signal_profile(net, x, labels).gradient_norm
            # From the second hidden layer on: the first one's input is wider.
            row[f"{activation} {arm}"] = np.log10(norms[1] / norms[-1]) / (depth - 2)
    return row


def effect(row: Row) -> float:
    """How much further from "unchanged" a layer takes the gradient without BN than with it."""
    return abs(row["sigmoid without"]) - abs(row["sigmoid with"])


def judge(rows: Sequence[Row]) -> Verdict:
    gain = difference([effect(row) for row in rows], WORTH)
    relu_with = difference(np.abs(column(rows, "relu with")), WORTH)
    factor = {name: 10 ** column(rows, name).mean() for name in rows[0]}
    sentence = (
        "From layer to layer towards the input, the gradient of sigmoid networks is multiplied by "
        f"{factor['sigmoid without']:.2f} without BN and by {factor['sigmoid with']:.2f} with it "
        f"(log10: {shown(rows, 'sigmoid without')} and {shown(rows, 'sigmoid with')}); of ReLU "
        f"networks by {factor['relu without']:.2f} and by {factor['relu with']:.2f} "
        f"(log10: {shown(rows, 'relu without')} and {shown(rows, 'relu with')})."
    )
    if gain.better and not relu_with.same:
        return Verdict("partly", sentence)
    return Verdict(overall([gain]), sentence)


CLAIM = Claim(
    id="gradient_flow",
    sentence="BN keeps gradients from vanishing or exploding in deep networks.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="An argument, without a number.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if in sigmoid networks a layer changes the gradient's norm less with BN than "
        "without by more than the size worth having, and in ReLU networks with BN by less than "
        "that size; partly if only the first holds."
    ),
    conclude=(
        "In sigmoid networks BN undoes the fourfold shrinking of each layer, before training. It "
        "does not keep gradients constant: in ReLU networks with BN they grow slowly towards the "
        "input, where He's initial weights alone keep them. Nothing follows about how fast such "
        "networks train."
    ),
    effect=effect,
    unit="powers of ten a layer",
    worth=WORTH,
    seeds=20,
)
