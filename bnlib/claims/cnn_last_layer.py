"""Why the CNN with BN can be behind: how long the vector is that enters the last, Dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims.cnn_accuracy import STEPS, images, network, trained_percent
from bnlib.claims.engine.altered import Scaled
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, test_images
from bnlib.claims.engine.judging import Row, Verdict, column, difference, shown
from bnlib.network import Sequential

RATE = 0.1  # where BN is behind
WORTH = 0.25  # doublings of the error: a sixth of it


def length(net: Sequential, x: np.ndarray) -> float:
    """Root of the mean squared length of what enters the last layer, with BN as in training."""
    with net.as_it_was():
        net.train()
        for layer in net.layers[:-1]:
            x = layer.forward(x)
    return float(np.sqrt(np.mean(np.sum(x.astype(np.float64) ** 2, axis=1))))


def experiment(seed: int, size: str) -> Row:
    """Accuracy in percent of both networks, each with its own length at the start and with the
    other one's: a fixed factor in front of the last layer, whose weights start as they were."""
    probe, _ = test_images(images(), 200)
    own = {arm: length(network(norm, seed), probe) for arm, norm in ARMS.items()}
    row = {f"{arm}, length": value for arm, value in own.items()}
    for arm, norm in ARMS.items():
        for other, wanted in own.items():
            net = network(norm, seed)
            *body, last = net.layers
            net = Sequential([*body, Scaled(wanted / own[arm]), last])
            row[f"{arm}, length of {other}"] = trained_percent(net, RATE, seed, size)
    return row


def doublings(row: Row, arm: str) -> float:
    """How many times more errors with BN's length than with the other's, as doublings.

    Not points: one network that collapses would outweigh all others.
    """
    shorter, longer = (100 - row[f"{arm}, length of {of}"] for of in ARMS)
    return math.log2(longer / shorter)


def effect(row: Row) -> float:
    """In the network with BN."""
    return doublings(row, "with")


def judge(rows: Sequence[Row]) -> Verdict:
    rescued = difference([effect(row) for row in rows], WORTH)
    harmed = difference([doublings(row, "without") for row in rows], WORTH)
    ratio = column(rows, "with, length") / column(rows, "without, length")
    longer = difference(np.log2(ratio), 0)
    sentence = (
        f"What enters the last layer has the length {shown(rows, 'without, length')} without BN "
        f"and {shown(rows, 'with, length')} with it. Test accuracy after {STEPS['full']} steps at "
        f"rate {RATE:g}: with BN {shown(rows, 'with, length of with')} %, shortened to the other's "
        f"length {shown(rows, 'with, length of without')} % ({2**rescued.mean:.1f} times "
        f"fewer errors, {rescued} doublings); without BN "
        f"{shown(rows, 'without, length of without')} %, lengthened to that with BN "
        f"{shown(rows, 'without, length of with')} % ({2**harmed.mean:.1f} times more "
        f"errors, {harmed} doublings)."
    )
    if longer.better and rescued.better:
        return Verdict("reproduces" if harmed.better else "partly", sentence)
    return Verdict("not at this scale", sentence)


CLAIM = Claim(
    id="cnn_last_layer",
    sentence="Where BN is behind in the CNN, what enters the last layer is too long a vector.",
    source="Measured here",
    paper="Not measured.",
    experiment=experiment,
    judge=judge,
    criterion=(
        f"At rate {RATE:g}. Partly if that vector is longer with BN and shortening it to the "
        "length of the network without BN lowers its error by more than the size worth having; "
        "reproduces if, in addition, lengthening it in the network without BN raises that one's."
    ),
    conclude=(
        "BN fixes the size of what it gives, and a Dense layer that sums hundreds of such numbers "
        "takes steps in proportion to their squared length: at a large rate, too large ones. A "
        "factor in front of it, or a smaller rate, is the cure. Networks that average each map "
        "before the last layer (most large ones do) are not concerned."
    ),
    effect=effect,
    unit="doublings of the error, with BN",
    worth=WORTH,
)
