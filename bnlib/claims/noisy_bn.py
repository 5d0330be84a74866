"""BN whose outputs are moved and stretched at random, anew in each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.altered import NoisyBatchNorm, with_norm
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import GUESSING, POOLED, mnist, percent_right
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Row,
    Verdict,
    difference,
    shown,
)
from bnlib.network import Sequential, mlp
from bnlib.training import Trainer

SIZES = [POOLED, 100, 100, 100, 100, 10]
STEPS = {"full": 1000, "notebook": 100}
RATE = 0.1
EVERY = 20  # steps between two looks at the means
WORTH = 3.0  # points of accuracy


def network(arm: str, seed: int) -> Sequential:
    net = mlp(SIZES, None if arm == "none" else "batch", "sigmoid", seed=seed, dtype=np.float32)
    if arm == "noisy":
        net = with_norm(net, NoisyBatchNorm)
        for i, layer in enumerate(net.layers):
            if isinstance(layer, NoisyBatchNorm):
                layer.rng = np.random.default_rng((seed, i))
    return net


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent, and how far the means of the last hidden layer move in a look.

    The means are those of what enters the last sigmoid, for the same 200 images in training mode;
    the movement between two looks is averaged over units and looks.
    """
    data, row = mnist(pool=True), {}
    x, _ = data.batch(slice(0, 200), np.float32)
    for arm in ("none", "BN", "noisy"):
        net = network(arm, seed)
        trainer, means = Trainer(net, data, RATE, 64, seed), []
        for _ in range(STEPS[size] // EVERY):
            trainer.advance(EVERY)
            means.append(net.nonlinearity_inputs(x)[-1].mean(axis=0))
        diverged = trainer.diverged_at is not None
        row[f"{arm}, accuracy"] = GUESSING if diverged else percent_right(net, data)
        row[f"{arm}, movement"] = float(np.abs(np.diff(means, axis=0)).mean())
    return row


def effect(row: Row) -> float:
    """What the noise costs."""
    return row["BN, accuracy"] - row["noisy, accuracy"]


def judge(rows: Sequence[Row]) -> Verdict:
    cost = difference([effect(row) for row in rows], WORTH)
    gain = difference([row["noisy, accuracy"] - row["none, accuracy"] for row in rows], WORTH)
    more = difference([row["noisy, movement"] - row["none, movement"] for row in rows], 0.0)
    sentence = (
        f"Test accuracy after {STEPS['full']} steps without BN {shown(rows, 'none, accuracy')} %, "
        f"with BN {shown(rows, 'BN, accuracy')} %, with noise behind BN "
        f"{shown(rows, 'noisy, accuracy')} %. Between two looks the means move by "
        f"{shown(rows, 'none, movement')}, {shown(rows, 'BN, movement')} and "
        f"{shown(rows, 'noisy, movement')}."
    )
    if not more.better:
        return Verdict(UNDECIDED, f"{sentence} The noise did not make the inputs less stable.")
    if gain.better:
        return Verdict(REPRODUCES if cost.absent else PARTLY, sentence)
    return Verdict(NOT_HERE if gain.absent else UNDECIDED, sentence)


CLAIM = Claim(
    id="noisy_bn",
    sentence="Noise behind BN makes its outputs shift more than without BN, and training does not "
    "suffer.",
    source="Santurkar et al. 2018, section 2.1 and Figure 2",
    paper="VGG on CIFAR-10: with noisy BN about as accurate as with BN, though its activations are "
    "less stable than those without BN.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the means of noisy BN move more than without BN, it is better than no BN by "
        "more than the size worth having, and costs less than that against BN; partly if it is "
        f"better, but costs as much. Four layers of sigmoids, rate {RATE:g}."
    ),
    conclude=(
        "A stable distribution is not needed for what BN does here. That does not say what is: "
        "noise is no explanation either."
    ),
    effect=effect,
    unit="points lost by noise",
    worth=WORTH,
)
