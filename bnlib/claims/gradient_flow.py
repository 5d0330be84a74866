"""How the gradient gets through a deep network before the first step."""

import numpy as np

from bnlib.claims.engine import Claim, Row, overall
from bnlib.claims.engine.experiments import ARMS, POOLED, mnist
from bnlib.network import mlp
from bnlib.profile import signal_profile

DEPTH = {"full": 16, "notebook": 8}
BATCH = 256


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


def factor(rows: list[Row], name: str) -> str:
    return f"{10 ** np.mean([row[name] for row in rows]):.2f}"


CLAIM = Claim(
    id="gradient_flow",
    sentence="BN keeps gradients from vanishing or exploding in deep networks.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="An argument, without a number.",
    experiment=experiment,
    parts={
        # how much further from "unchanged" a layer takes the gradient without BN than with it
        "sigmoid": lambda row: abs(row["sigmoid without"]) - abs(row["sigmoid with"]),
        "change in ReLU networks": lambda row: abs(row["relu with"]),
    },
    rule=lambda found: overall(found["sigmoid"], also=found["change in ReLU networks"].same),
    says=lambda rows, found: (
        "From layer to layer towards the input, the gradient of sigmoid networks is multiplied by "
        f"{factor(rows, 'sigmoid without')} without BN and by {factor(rows, 'sigmoid with')} with "
        "it (log10: [sigmoid without] and [sigmoid with]); of ReLU networks by "
        f"{factor(rows, 'relu without')} and by {factor(rows, 'relu with')} (log10: "
        "[relu without] and [relu with])."
    ),
    criterion="Reproduces if in sigmoid networks a layer changes the gradient's norm less with BN "
    "than without by more than the size worth having, and in ReLU networks with BN by less than "
    "that size; partly if only the first holds.",
    conclude="In sigmoid networks BN undoes the fourfold shrinking of each layer, before training. "
    "It does not keep gradients constant: in ReLU networks with BN they grow slowly towards the "
    "input, where He's initial weights alone keep them. Nothing follows about how fast such "
    "networks train.",
    unit="powers of ten a layer",
    worth=0.05,  # powers of ten a layer: a factor of ten in twenty layers
    seeds=20,
)
