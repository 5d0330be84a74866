"""The shift of notebook 02, with and without BN, at the inputs of the nonlinearities."""

from collections.abc import Callable

import numpy as np

from bnlib.claims.engine import Claim, Row, doublings
from bnlib.claims.engine.altered import Standardised
from bnlib.claims.engine.experiments import ARMS, POOLED, mlp32, mnist, percent_right
from bnlib.layers import Dense
from bnlib.network import Sequential
from bnlib.training import Trainer

STEPS = {"full": 300, "notebook": 150}
RATE = 0.05
DEPTH = 4
UPPER = range(2, DEPTH + 1)  # the hidden layers that have another one below
IMAGES = ("raw", "standardised")


def moments(net: Sequential, probe: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Mean and std of each unit, (hidden layers, 2, units): of what a nonlinearity receives, and of
    what a Dense layer gives, which is what enters BN where there is one."""
    x, given = probe, []
    with net.as_it_was():
        net.train()
        for layer in net.layers:
            x = layer.forward(x)
            if isinstance(layer, Dense):
                given.append(x)
    places = {"after": net.nonlinearity_inputs(probe), "before": given[:-1]}
    return {
        place: [np.array([z.mean(axis=0), z.std(axis=0)]) for z in zs]
        for place, zs in places.items()
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
            net = mlp32([POOLED] + [64] * DEPTH + [10], norm, seed=seed)
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


def parts(place: str) -> dict[str, Callable[[Row], float]]:
    """How many times less each upper layer shifts with BN, for what is ``place`` BN."""
    return {
        f"{i}, {k}": doublings(f"{i}, without, {place}, {k}", f"{i}, with, {place}, {k}")
        for i in IMAGES
        for k in UPPER
    }


def says(place: str, what: str) -> str:
    shifts = "; ".join(
        f"{images} images, layers 1 to {DEPTH}: "
        + ", ".join(
            f"[{images}, without, {place}, {k}] | [{images}, with, {place}, {k}]"
            for k in range(1, DEPTH + 1)
        )
        for images in IMAGES
    )
    steps = f"{STEPS['full']} steps at rate {RATE:g}"
    return f"Shift of {what} in {steps}, without | with BN; {shifts}."


CLAIM = Claim(
    id="shift_after_bn",
    sentence="With BN, what a nonlinearity receives hardly shifts while the network learns.",
    source="Ioffe & Szegedy 2015, sections 2 and 3",
    paper="The aim of the method, without a number.",
    experiment=experiment,
    parts=parts("after"),
    says=says("after", "what the nonlinearities receive"),
    criterion="Reproduces if the means shift less with BN, by more than the size worth having, in "
    "every hidden layer above the first, for raw and for standardised images; partly if only in "
    "some.",
    conclude="BN does what its name for the problem says. By construction: after BN a unit's mean "
    "is its beta and its standard deviation its gamma, which move slowly. In the first layer it "
    "depends on the images. Whether this is why BN helps does not follow (shift_and_accuracy).",
    effect_of=["standardised, 4"],
    unit="doublings, layer 4, standardised images",
    worth=2.0,  # doublings: a fourth of the shift
    seeds=20,
)
