"""The shift of notebook 02, with and without BN, at the inputs of the nonlinearities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.altered import Standardised
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, POOLED, mnist, percent_right
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.layers import Dense
from bnlib.network import Sequential, mlp
from bnlib.training import Trainer

STEPS = {"full": 300, "notebook": 150}
RATE = 0.05
DEPTH = 4
UPPER = range(2, DEPTH + 1)  # the hidden layers that have another one below
IMAGES = ("raw", "standardised")
WORTH = 2.0  # doublings: a fourth of the shift


def moments(net: Sequential, probe: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Mean and std of each unit, (hidden layers, 2, units): of what a nonlinearity receives, and of
    what a Dense layer gives, which is what enters BN where there is one."""
    received = net.nonlinearity_inputs(probe)
    x, given = probe, []
    with net.as_it_was():
        net.train()
        for layer in net.layers:
            x = layer.forward(x)
            if isinstance(layer, Dense):
                given.append(x)
    return {
        "after": [np.array([z.mean(axis=0), z.std(axis=0)]) for z in received],
        "before": [np.array([z.mean(axis=0), z.std(axis=0)]) for z in given[:-1]],
    }


def shift(start: np.ndarray, end: np.ndarray) -> float:
    """How far a unit's mean has moved, in its standard deviations at the start; mean of units."""
    # A ReLU network can hold units that never react: they do not move either.
    return float(np.mean(np.abs(end[0] - start[0]) / np.maximum(start[1], 1e-6)))


def experiment(seed: int, size: str) -> Row:
    """Shifts of every hidden layer and test accuracy in percent, for two forms of the images."""
    data, row = mnist(pool=True), {}
    probe, _ = data.batch(slice(0, 1000), np.float32)
    for images in IMAGES:
        for arm, norm in ARMS.items():
            net = mlp([POOLED] + [64] * DEPTH + [10], norm, seed=seed, dtype=np.float32)
            if images == "standardised":
                net = Sequential([Standardised(data), *net.layers])
            start = moments(net, probe)
            Trainer(net, data, RATE, 64, seed).advance(STEPS[size])
            end = moments(net, probe)
            for k in range(DEPTH):
                for place in start:
                    name = f"{images}, {arm}, {place}, {k + 1}"
                    row[name] = shift(start[place][k], end[place][k])
            row[f"{images}, {arm}, accuracy"] = percent_right(net, data, 10_000)
    return row


def doublings(row: Row, place: str, images: str, layer: int) -> float:
    """How many times less a layer shifts with BN, as doublings."""
    without, with_bn = (row[f"{images}, {arm}, {place}, {layer}"] for arm in ARMS)
    return math.log2(without / with_bn)


def judged(rows: Sequence[Row], place: str, worth: float, where: str) -> Verdict:
    """For what is ``place`` BN: the layers above the first, both forms of the images."""
    better = [
        difference([doublings(row, place, images, k) for row in rows], worth).better
        for images in IMAGES
        for k in UPPER
    ]
    parts = [
        f"{images} images, layers 1 to {DEPTH}: "
        + ", ".join(
            f"{shown(rows, f'{images}, without, {place}, {k}')} | "
            f"{shown(rows, f'{images}, with, {place}, {k}')}"
            for k in range(1, DEPTH + 1)
        )
        for images in IMAGES
    ]
    sentence = (
        f"Shift of {where} in {STEPS['full']} steps at rate {RATE:g}, without | with BN; "
        + "; ".join(parts)
        + "."
    )
    if all(better):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if any(better) else "not at this scale", sentence)


def judge(rows: Sequence[Row]) -> Verdict:
    return judged(rows, "after", WORTH, "what the nonlinearities receive")


def effect(row: Row) -> float:
    """In the last hidden layer, for standardised images, where there is less shift to remove."""
    return doublings(row, "after", "standardised", DEPTH)


CLAIM = Claim(
    id="shift_after_bn",
    sentence="With BN, what a nonlinearity receives hardly shifts while the network learns.",
    source="Ioffe & Szegedy 2015, sections 2 and 3",
    paper="The aim of the method, without a number.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the means shift less with BN, by more than the size worth having, in every "
        "hidden layer above the first, for raw and for standardised images; partly if only in some."
    ),
    conclude=(
        "BN does what its name for the problem says. By construction: after BN a unit's mean is "
        "its beta and its standard deviation its gamma, which move slowly. In the first layer it "
        "depends on the images. Whether this is why BN helps does not follow (shift_and_accuracy)."
    ),
    effect=effect,
    unit="doublings, layer 4, standardised images",
    worth=WORTH,
    seeds=20,
)
