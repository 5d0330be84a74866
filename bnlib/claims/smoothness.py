"""Effective beta-smoothness along the gradient, from the same runs as `landscape`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict
from bnlib.claims.landscape import RATES, WORTH, experiment, gain, judged


def judge(rows: Sequence[Row]) -> Verdict:
    return judged(rows, ("smoothness",))


def effect(row: Row) -> float:
    """The mean of both rates."""
    return float(np.mean([gain(row, "smoothness", lr) for lr in RATES]))


CLAIM = Claim(
    id="smoothness",
    sentence="With BN the loss is smoother: the gradient changes less for each unit of distance.",
    source="Santurkar et al. 2018, section 3.1 and Figure 4 (c)",
    paper="VGG on CIFAR-10: effective beta-smoothness is lower with BN.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the largest ratio of the gradient's change to the distance is smaller with "
        f"BN by more than the size worth having at both rates, {RATES[0]:g} and {RATES[1]:g}; "
        "partly if at one."
    ),
    conclude=(
        "The size of the gradients enters here, which in a network with BN depends on the size of "
        "the weights. So the number compares scales as much as shapes."
    ),
    effect=effect,
    unit="powers of ten less, beta",
    worth=WORTH,
)
