"""How many steps a network needs, untuned and tuned."""

import math
from functools import partial

import numpy as np

from bnlib.claims.engine import Claim, Row, best_inside
from bnlib.claims.engine.experiments import ARMS, THREE, mlp32, mnist, percent_right
from bnlib.training import Trainer

TARGET = 85.0  # percent of the test images
LIMIT = {"full": 6000, "notebook": 600}  # steps; a network that needs more counts as this many
EVERY = 5  # steps between two looks
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
UNTUNED = 0.1, 1.0  # rate and scale of our Figure 1
TUNED = {  # the names of the numbers, and the words of the sentence
    "untuned": "the same settings",
    "rate": "rates tuned",
    "rate and scale": "scales tuned too",
}


def steps(norm: str | None, lr: float, scale: float, seed: int, limit: int) -> float:
    """Steps until `TARGET`, at most ``limit``."""
    data = mnist(pool=True)
    net = mlp32(THREE, norm, "sigmoid", init_scale=scale, seed=seed)
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


def choose(rows: list[Row]) -> dict[str, float]:
    """For each network the best rate at scale 1 (1), and the best rate and scale (2)."""
    chosen = {}
    for arm in ARMS:
        scores = np.array(
            [[-np.mean([r[f"{arm} {lr:g} {s:g}"] for r in rows]) for s in SCALES] for lr in RATES]
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


def says(rows: list[Row], found: dict) -> str:
    fewer = "; ".join(
        f"{2 ** found[name].mean:.2g} times fewer with {words} ([without, {name}] without BN, "
        f"[with, {name}] with it)"
        for name, words in TUNED.items()
    )
    stopped = sum(row["without, untuned"] >= LIMIT["full"] for row in rows)
    more = (
        f" In {stopped} of {len(rows)} seeds the untuned network without BN was stopped at "
        f"{LIMIT['full']:,} steps."
    )
    return f"Steps to {TARGET:g} % test accuracy: {fewer}.{more if stopped else ''}"


CLAIM = Claim(
    id="steps_to_target",
    sentence="With BN a network needs fewer steps to the same accuracy.",
    source="Ioffe & Szegedy 2015, section 4.2.2 and Figure 3",
    paper="ImageNet, Inception: 2.3 times fewer steps with BN alone, 14 times fewer with BN and a "
    "rate five times larger, and six other changes.",
    experiment=experiment,
    parts={name: partial(doublings, name=name) for name in TUNED},
    says=says,
    criterion="Reproduces if BN saves more than the size worth having in all three comparisons: "
    "both networks untuned, each with its best rate, each with its best rate and initial scale; "
    "partly if only in some. Three hidden layers of sigmoids.",
    conclude="How many times fewer depends on how hard the network without BN was tuned: quote the "
    "factor with the tuning. These are steps; one with BN takes longer (step_cost). Nothing "
    "follows about ReLU networks, nor about the accuracy in the end.",
    effect_of=["rate and scale"],
    unit="doublings, rate and scale tuned",
    worth=0.5,  # doublings: 1.4 times as many steps
    tune=tune,
    choose=choose,
)
