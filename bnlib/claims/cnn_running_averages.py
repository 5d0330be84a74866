"""Whether the CNN with BN is behind because its running averages lag."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.cnn_accuracy import STEPS, images, network, trained
from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import GUESSING, percent_right
from bnlib.claims.engine.judging import Row, Verdict
from bnlib.claims.population_statistics import WORTH, gain, judged
from bnlib.inference import population_statistics

RATES = (0.05, 0.1)


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with running and with population statistics, the same weights."""
    row, data, count = {}, images(), 5000 if size == "full" else 1000
    for lr in RATES:
        net = network("batch", seed)
        finite = trained(net, lr, seed, size)
        row[f"running, {lr:g}"] = percent_right(net, data, count) if finite else GUESSING
        if finite:
            population_statistics(net, data, 500, 5000)
        row[f"population, {lr:g}"] = percent_right(net, data, count) if finite else GUESSING
    return row


def effect(row: Row) -> float:
    """The mean of the two rates."""
    return sum(gain(row, lr) for lr in RATES) / len(RATES)


def judge(rows: Sequence[Row]) -> Verdict:
    return judged(rows, RATES, STEPS["full"])


CLAIM = Claim(
    id="cnn_running_averages",
    sentence="In the CNN at large rates, lagging running averages cost accuracy.",
    source="Wu & Johnson 2021, section 3",
    paper="ResNet-50 on ImageNet: running averages are worse than population statistics early in "
    "training, and in training with large batches.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if population statistics gain more than the size worth having over running "
        f"averages (momentum 0.1, the same weights) at both rates, {RATES[0]:g} and {RATES[1]:g}; "
        "partly if only at one; not at this scale if they cannot gain it at either."
    ),
    conclude=(
        "What the lag costs on average after a few hundred steps. Single runs can lose more: see "
        "the largest difference. A network that ends badly deserves `population_statistics` "
        "before a verdict: it costs one pass over some images."
    ),
    effect=effect,
    unit="points, mean of both rates",
    worth=WORTH,
)
