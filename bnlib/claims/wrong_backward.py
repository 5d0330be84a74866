"""A wrong backward pass, statistics taken for constants, where nothing is learned without BN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.altered import ConstantStatistics, ConstantVariance, with_norm
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, trained_percent
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.network import Sequential, mlp
from bnlib.norms import BatchNorm

STEPS = {"full": 300, "notebook": 100}
RATE = 0.3
KINDS = {
    "none": None,
    "right": BatchNorm,
    "constants": ConstantStatistics,
    "variance": ConstantVariance,
}
WORTH = 10.0  # points of accuracy


def network(kind: str, activation: str, seed: int) -> Sequential:
    norm = KINDS[kind]
    net = mlp(THREE, norm and "batch", activation, seed=seed, dtype=np.float32)
    return with_norm(net, norm) if norm else net


def percent(kind: str, activation: str, lr: float, seed: int, size: str) -> float:
    """Test accuracy in percent after training with the backward ``kind``."""
    net = network(kind, activation, seed)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed, count=5000)


def experiment(seed: int, size: str) -> Row:
    return {
        kind: percent(kind, "sigmoid", RATE, seed, size) for kind in ("none", "right", "constants")
    }


def effect(row: Row) -> float:
    """What the network gains by a BN whose backward is wrong."""
    return row["constants"] - row["none"]


def judge(rows: Sequence[Row]) -> Verdict:
    gain = difference([effect(row) for row in rows], WORTH)
    left = difference([row["right"] - row["constants"] for row in rows], WORTH)
    sentence = (
        f"Test accuracy after {STEPS['full']} steps at rate {RATE:g}: {shown(rows, 'none')} % "
        f"without BN, {shown(rows, 'constants')} % with a wrong backward, {shown(rows, 'right')} % "
        f"with the right one. The mistake costs {left} points."
    )
    if gain.better:
        return Verdict("reproduces" if left.mean < gain.mean / 2 else "partly", sentence)
    return Verdict("not at this scale", sentence)


CLAIM = Claim(
    id="wrong_backward",
    sentence="A BN whose backward is wrong can still train a network that does not learn without.",
    source="Measured here; the mistake is known from several public trackers",
    paper="Ioffe & Szegedy 2015, section 2, expect that parameters grow without effect if the "
    "gradient ignores the normalization.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "The wrong backward takes mean and variance for constants; three hidden layers of sigmoids "
        f"at rate {RATE:g}. Partly if it gains more than the size worth having over no BN; "
        "reproduces if, in addition, that is more than twice what the mistake costs against the "
        "right backward."
    ),
    conclude=(
        "A falling loss does not show that a backward pass is right: compare with numerical "
        "gradients. At other rates and with ReLUs the mistake costs more (wrong_backward_cost)."
    ),
    effect=effect,
    unit="points over no BN",
    worth=WORTH,
)
