"""How many steps a network needs, untuned and tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, THREE, mnist, percent_right
from bnlib.claims.engine.judging import (
    Row,
    Verdict,
    best_inside,
    column,
    difference,
    overall,
    shown,
)
from bnlib.network import mlp
from bnlib.training import Trainer

TARGET = 85.0  # percent of the test images
LIMIT = {"full": 6000, "notebook": 600}  # steps; a network that needs more counts as this many
EVERY = 5  # steps between two looks
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
UNTUNED = 0.1, 1.0  # rate and scale of our Figure 1
WORTH = 0.5  # doublings: 1.4 times as many steps


def steps(norm: str | None, lr: float, scale: float, seed: int, limit: int) -> float:
    """Steps until `TARGET`, at most ``limit``."""
    data = mnist(pool=True)
    net = mlp(
        THREE,
        norm=norm,
        activation="sigmoid",
        init_scale=scale,
        seed=seed,
        dtype=np.float32,
    )
    trainer = Trainer(net, data, lr, 60, seed)
    while trainer.step_count < limit and trainer.diverged_at is None:
        trainer.advance(EVERY)
        if percent_right(net, data, 1000) >= TARGET:
            return trainer.step_count
    return limit


def tune(seed: int) -> Row:
    def few(scale: float) -> int:  # at other scales than 1 the best rates need less
        return 1500 if scale == 1 else 300

    return {
        f"{arm} {lr:g} {scale:g}": steps(norm, lr, scale, seed, few(scale))
        for arm, norm in ARMS.items()
        for lr in RATES
        for scale in SCALES
    }


def choose(rows: Sequence[Row]) -> dict[str, float]:
    """For each network the best rate at scale 1 (1), and the best rate and scale (2)."""
    chosen = {}
    for arm in ARMS:
        scores = np.array(
            [[-column(rows, f"{arm} {lr:g} {s:g}").mean() for s in SCALES] for lr in RATES]
        )
        one = SCALES.index(1)
        chosen[f"lr_{arm}_1"] = best_inside({"rate": RATES}, scores[:, one])["rate"]
        both = best_inside({"rate": RATES, "scale": SCALES}, scores)
        chosen |= {f"lr_{arm}_2": both["rate"], f"scale_{arm}_2": both["scale"]}
    return chosen


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Steps of both networks: untuned, with the rate tuned, with rate and scale tuned."""
    row = {}
    for arm, norm in ARMS.items():
        settings = {
            "untuned": UNTUNED,
            "rate": (tuned[f"lr_{arm}_1"], 1.0),
            "rate and scale": (tuned[f"lr_{arm}_2"], tuned[f"scale_{arm}_2"]),
        }
        for name, (lr, scale) in settings.items():
            row[f"{arm}, {name}"] = steps(norm, lr, scale, seed, LIMIT[size])
    return row


def doublings(row: Row, name: str) -> float:
    return math.log2(row[f"without, {name}"] / row[f"with, {name}"])


def effect(row: Row) -> float:
    """The comparison that is hardest for BN: rate and initial scale tuned."""
    return doublings(row, "rate and scale")


def judge(rows: Sequence[Row]) -> Verdict:
    names = ("untuned", "rate", "rate and scale")
    gain = {name: difference([doublings(row, name) for row in rows], WORTH) for name in names}
    parts = [
        f"{2 ** gain[name].mean:.2g} times fewer with {tuned} "
        f"({shown(rows, f'without, {name}')} without BN, {shown(rows, f'with, {name}')} with it)"
        for name, tuned in zip(names, ("the same settings", "rates tuned", "scales tuned too"))
    ]
    censored = sum(row["without, untuned"] >= LIMIT["full"] for row in rows)
    more = (
        f" In {censored} of {len(rows)} seeds the untuned network without BN was stopped at "
        f"{LIMIT['full']:,} steps."
        if censored
        else ""
    )
    sentence = f"Steps to {TARGET:g} % test accuracy: " + "; ".join(parts) + "." + more
    return Verdict(overall(gain.values()), sentence)


CLAIM = Claim(
    id="steps_to_target",
    sentence="With BN a network needs fewer steps to the same accuracy.",
    source="Ioffe & Szegedy 2015, section 4.2.2 and Figure 3",
    paper="ImageNet, Inception: 2.3 times fewer steps with BN alone, 14 times fewer with BN and a "
    "rate five times larger, and six other changes.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if BN saves more than the size worth having in all three comparisons: both "
        "networks untuned, each with its best rate, each with its best rate and initial scale; "
        "partly if only in some. Three hidden layers of sigmoids."
    ),
    conclude=(
        "How many times fewer depends on how hard the network without BN was tuned: quote the "
        "factor with the tuning. These are steps; one with BN takes longer (step_cost). Nothing "
        "follows about ReLU networks, nor about the accuracy in the end."
    ),
    effect=effect,
    unit="doublings, rate and scale tuned",
    worth=WORTH,
    tune=tune,
    choose=choose,
)
