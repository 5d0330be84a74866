"""Why the CNN with BN can be behind: how long the vector is that enters the last, Dense layer."""

import math
from functools import partial

import numpy as np

from bnlib.claims.cnn_accuracy import COUNT, STEPS, network, trained
from bnlib.claims.engine import NOT_HERE, Claim, Row, doublings, overall
from bnlib.claims.engine.altered import Scaled
from bnlib.claims.engine.experiments import ARMS, mnist, percent_of, test_images
from bnlib.network import Sequential

RATE = 0.1  # where BN is behind


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
    probe, _ = test_images(mnist(shape="image"), 200)
    own = {arm: length(network(norm, seed), probe) for arm, norm in ARMS.items()}
    row = {f"{arm}, length": value for arm, value in own.items()}
    for arm, norm in ARMS.items():
        for other, wanted in own.items():
            *body, last = network(norm, seed).layers
            net = Sequential([*body, Scaled(wanted / own[arm]), last])
            trainer = trained(net, RATE, seed, size)
            row[f"{arm}, length of {other}"] = percent_of(trainer, COUNT[size])
    return row


def errors(row: Row, arm: str) -> float:
    """How many times more errors with BN's length than with the other's, as doublings.

    Not points: one network that collapses would outweigh all others.
    """
    shorter, longer = (100 - row[f"{arm}, length of {of}"] for of in ARMS)
    return math.log2(longer / shorter)


CLAIM = Claim(
    id="cnn_last_layer",
    sentence="Where BN is behind in the CNN, what enters the last layer is too long a vector.",
    source="Measured here",
    paper="Not measured.",
    experiment=experiment,
    parts={
        "rescued": partial(errors, arm="with"),
        "harmed": partial(errors, arm="without"),
        "longer": doublings("with, length", "without, length"),
    },
    rule=lambda found: (
        overall(found["rescued"], also=found["harmed"].better)
        if found["longer"].better
        else NOT_HERE
    ),
    says=lambda rows, found: (
        "What enters the last layer has the length [without, length] without BN and [with, length] "
        f"with it. Test accuracy after {STEPS['full']} steps at rate {RATE:g}: with BN "
        "[with, length of with] %, shortened to the other's length [with, length of without] % "
        f"({2 ** found['rescued'].mean:.1f} times fewer errors, [rescued] doublings); without BN "
        "[without, length of without] %, lengthened to that with BN [without, length of with] % "
        f"({2 ** found['harmed'].mean:.1f} times more errors, [harmed] doublings)."
    ),
    criterion=f"At rate {RATE:g}. Partly if that vector is longer with BN and shortening it to the "
    "length of the network without BN lowers its error by more than the size worth having; "
    "reproduces if, in addition, lengthening it in the network without BN raises that one's.",
    conclude="BN fixes the size of what it gives, and a Dense layer that sums hundreds of such "
    "numbers takes steps in proportion to their squared length: at a large rate, too large ones. A "
    "factor in front of it, or a smaller rate, is the cure. Networks that average each map before "
    "the last layer (most large ones do) are not concerned.",
    unit="doublings of the error, with BN",
    worth=0.25,  # doublings of the error: a sixth of it
    worths={"longer": 0.0},
)
