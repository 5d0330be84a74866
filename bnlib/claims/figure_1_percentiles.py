"""Figure 1 (b, c) of Ioffe & Szegedy 2015: how far the inputs of the last sigmoids move."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims import figure_1_accuracy
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, mnist, test_images
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.training import Trainer

STEPS = {"full": 2000, "notebook": 300}
EVERY = 100
RATE = figure_1_accuracy.RATE
LINES = {"15": 15, "50": 50, "85": 85}  # percentiles
WORTH = 0.5  # doublings: 1.4 times as far


def travel(norm: str | None, lr: float, seed: int, steps: int) -> dict[str, float]:
    """How much each line of a unit covers, largest minus smallest value; the median of all units.

    Lines: three percentiles over 1,000 test images of the input of the last hidden layer's
    sigmoids, and the mean. BN uses the statistics of these images, as in training.
    """
    data = mnist(binary=True)
    probe, _ = test_images(data, 1000)
    net = figure_1_accuracy.network(norm, seed)
    trainer = Trainer(net, data, lr, 60, seed)
    lines = []
    for step in range(0, steps + 1, EVERY):
        trainer.advance(step - trainer.step_count)
        z = net.nonlinearity_inputs(probe)[-1]
        lines.append([*np.percentile(z, list(LINES.values()), axis=0), z.mean(axis=0)])
    covered = np.median(np.ptp(lines, axis=0), axis=1)  # (times, lines, units) -> (lines,)
    return dict(zip((*LINES, "mean"), covered.tolist()))


def experiment(seed: int, size: str, lr_without: float, lr_with: float) -> Row:
    """In units of the sigmoid's input."""
    rates = {"same rate": dict.fromkeys(ARMS, RATE)}
    rates["own rate"] = {"without": lr_without, "with": lr_with}
    return {
        f"{arm}, {name}, {line}": value
        for name, lr in rates.items()
        for arm, norm in ARMS.items()
        for line, value in travel(norm, lr[arm], seed, STEPS[size]).items()
    }


def doublings(row: Row, name: str, line: str) -> float:
    return math.log2(row[f"without, {name}, {line}"] / row[f"with, {name}, {line}"])


def effect(row: Row) -> float:
    """For the mean, at the same rate."""
    return doublings(row, "same rate", "mean")


def judge(rows: Sequence[Row]) -> Verdict:
    parts, steadier = [], {}
    for name, words in (("same rate", f"at rate {RATE:g}"), ("own rate", "at its best rate each")):
        steadier[name] = [
            difference([doublings(row, name, line) for row in rows], WORTH).better for line in LINES
        ]
        moves = ", ".join(
            f"{line} {shown(rows, f'without, {name}, {line}')} | "
            f"{shown(rows, f'with, {name}, {line}')}"
            for line in (*LINES, "mean")
        )
        parts.append(f"{words}, {moves}")
    sentence = (
        f"In {STEPS['full']} steps the percentiles and the mean of a typical unit of the last "
        "hidden layer cover, in units of the sigmoid's input, without | with BN: "
        + "; ".join(parts)
        + "."
    )
    if all(steadier["same rate"]) and all(steadier["own rate"]):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if all(steadier["same rate"]) else "not at this scale", sentence)


CLAIM = Claim(
    id="figure_1_percentiles",
    sentence="With BN the distribution of a sigmoid's inputs stays steadier during training.",
    source="Ioffe & Szegedy 2015, section 4.1 and Figure 1 (b, c)",
    paper="A picture of the 15th, 50th and 85th percentile of one typical unit's inputs, without "
    "a number.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if all three percentiles cover less with BN, by more than the size worth "
        f"having, both at the same rate, {RATE:g}, and with the best rate of each network; partly "
        "if only at the same rate. Median over the 100 units."
    ),
    conclude=(
        "At the same rate a typical unit's distribution is steadier with BN, and its mean most of "
        "all. At larger rates everything moves further, with BN too: compare the two halves of the "
        "numbers. That the steadiness is the cause of the faster training does not follow."
    ),
    effect=effect,
    unit="doublings of what the mean covers",
    worth=WORTH,
    tune=figure_1_accuracy.tune,
    choose=figure_1_accuracy.choose,
)
