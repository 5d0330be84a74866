"""Running averages behind the weights: how far, at three momenta."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import THREE, mnist, percent_right
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.inference import population_statistics
from bnlib.network import mlp
from bnlib.norms import BatchNorm
from bnlib.training import Trainer

LOOKS = {  # steps
    "full": {"early": 10, "middle": 100, "late": 1000},
    "notebook": {"early": 10, "middle": 50, "late": 200},
}
MOMENTA = {"0.1": 0.1, "0.01": 0.01, "0.001": 0.001, "None": None}  # bnlib's, PyTorch's convention
RATE, BATCH = 0.1, 64  # those of notebook 06
WORTH = 2.0  # points of accuracy


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent at three looks: with running averages of each momentum, and with
    population statistics, all of the same weights: training does not read the averages."""
    data, row = mnist(pool=True), {}
    for name, momentum in MOMENTA.items():
        net = mlp(THREE, "batch", seed=seed, dtype=np.float32)
        for layer in net.layers:
            if isinstance(layer, BatchNorm):
                layer.momentum = momentum
        trainer = Trainer(net, data, RATE, BATCH, seed)
        for look, step in LOOKS[size].items():
            trainer.advance(step - trainer.step_count)
            row[f"{name}, {look}"] = percent_right(net, data, 5000)
            if name == "0.1":
                exact = population_statistics(copy.deepcopy(net), data, n=10_000)
                row[f"population, {look}"] = percent_right(exact, data, 5000)
    return row


def lag(row: Row, momentum: str, look: str) -> float:
    """What the averages cost."""
    return row[f"population, {look}"] - row[f"{momentum}, {look}"]


def effect(row: Row) -> float:
    """What the averages of momentum 0.1 cost after a few steps."""
    return lag(row, "0.1", "early")


def judge(rows: Sequence[Row]) -> Verdict:
    ends = ("early", "late")
    costs = {
        (name, look): difference([lag(row, name, look) for row in rows], WORTH)
        for name in ("0.1", "0.01", "0.001")
        for look in ends
    }
    parts = [
        f"after {LOOKS['full'][look]} steps population statistics give "
        f"{shown(rows, f'population, {look}')} %, and averages of momentum 0.1 | 0.01 | 0.001 cost "
        + " | ".join(str(costs[name, look]) for name in ("0.1", "0.01", "0.001"))
        + " points"
        for look in ends
    ]
    sentence = "Test accuracy: " + "; ".join(parts) + "."
    early = [costs[name, "early"].better for name in ("0.1", "0.01", "0.001")]
    if all(early):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if any(early) else "not at this scale", sentence)


CLAIM = Claim(
    id="averages_lag",
    sentence="Running averages lag: early in training, population statistics are more accurate.",
    source="Wu & Johnson 2021, section 3",
    paper="ResNet-50 on ImageNet: running averages give a worse and noisier accuracy early in "
    "training; at the end both agree.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if after 10 steps the averages of momentum 0.1, 0.01 and 0.001 all cost more "
        "than the size worth having, against population statistics of the same weights; partly if "
        "only some do."
    ),
    conclude=(
        "A network that is tested after few steps, or with a momentum of 0.001 (Keras calls it "
        "0.999) even after many, looks worse than it is; its weights are not. How many steps are "
        "enough follows from the momentum: what is left of the start is (1 - momentum)^steps."
    ),
    effect=effect,
    unit="points, momentum 0.1 after 10 steps",
    worth=WORTH,
)
