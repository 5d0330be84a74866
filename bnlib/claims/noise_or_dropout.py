"""The noise of the batches as a regulariser, beside Dropout."""

import numpy as np

from bnlib.claims.engine import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Claim,
    Row,
    minus,
    rate_of,
    tuned_rates,
)
from bnlib.claims.engine.experiments import THREE, few_images, mlp32, trained_percent
from bnlib.layers import Activation, Dropout
from bnlib.network import Sequential

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


def run(kind: str, lr: float, seed: int, size: str = "full") -> float:
    norm, p = KINDS[kind]
    net = mlp32(THREE, norm, seed=seed)
    if p:
        rng = np.random.default_rng(seed)  # one for all layers: each draws masks of its own
        layers = []
        for layer in net.layers:
            layers += [layer, Dropout(p, rng)] if isinstance(layer, Activation) else [layer]
        net = Sequential(layers)
    return trained_percent(net, few_images(seed, IMAGES), STEPS[size], lr, seed, 50, 10_000)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent, each network at its best rate, and BN at the plain one's."""
    row = {kind: run(kind, tuned[rate_of(kind)], seed, size) for kind in KINDS}
    return row | {"BN, plain's rate": run("BN", tuned["lr_plain"], seed, size)}


def rule(found: dict) -> str:
    noise, on_top = found["noise"], found["on top"]
    if noise.better and on_top.absent:
        return REPRODUCES
    if noise.better or (on_top.absent and noise.absent):
        return PARTLY
    return NOT_HERE if on_top.better and noise.absent else UNDECIDED


CLAIM = Claim(
    id="noise_or_dropout",
    sentence="The noise of the batches regularises, so that Dropout can be left out.",
    source="Ioffe & Szegedy 2015, section 3.4",
    paper="ImageNet, Inception: without Dropout and with less weight decay, validation accuracy "
    "improves.",
    experiment=experiment,
    parts={
        "noise": minus("BN, plain's rate", "plain"),  # at that rate only the noise can do it
        "on top": minus("BN and Dropout", "BN"),
        "BN alone": minus("BN", "plain"),
        "Dropout alone": minus("Dropout", "plain"),
    },
    rule=rule,
    says=f"Test accuracy with {IMAGES} training images, each network at its best rate: "
    + ", ".join(f"{kind} [{kind}] %" for kind in KINDS)
    + ". BN adds [BN alone] points to the plain network, Dropout [Dropout alone], and [on top] on "
    "top of BN; at the plain network's rate BN adds [noise].",
    criterion="Reproduces if BN adds more than the size worth having to the plain network's test "
    "accuracy at that network's best rate, where a larger rate cannot be the reason, and if "
    "Dropout adds less than that on top of BN, each at its best rate; partly if one of the two "
    "holds; not at this scale if neither.",
    conclude="Whether Dropout of 20 % is worth having beside BN in a small network with few "
    "images, and whether the noise is what BN gains by. Nothing follows about large networks.",
    unit="points at the same rate",
    worth=1.0,  # points of accuracy; one error in twelve
    seeds=20,
    **tuned_rates(run, KINDS, RATES),
)
