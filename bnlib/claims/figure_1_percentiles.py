"""Figure 1 (b, c) of Ioffe & Szegedy 2015: how far the inputs of the last sigmoids move."""

import numpy as np

from bnlib.claims import figure_1_accuracy
from bnlib.claims.engine import NOT_HERE, PARTLY, REPRODUCES, Claim, Row, doublings, gains, rate_of
from bnlib.claims.engine.experiments import ARMS, mnist, test_images
from bnlib.claims.figure_1_accuracy import RATE, WORDS
from bnlib.training import Trainer

STEPS = {"full": 2000, "notebook": 300}
EVERY = 100
PERCENTILES = ("15", "50", "85")
LINES = (*PERCENTILES, "mean")


def travel(arm: str, lr: float, seed: int, steps: int) -> dict[str, float]:
    """How much each line of a unit covers, largest minus smallest value; the median of all units.

    Lines: three percentiles over 1,000 test images of the input of the last hidden layer's
    sigmoids, and the mean. BN uses the statistics of these images, as in training.
    """
    data = mnist(binary=True)
    probe, _ = test_images(data, 1000)
    net = figure_1_accuracy.network(arm, seed)
    trainer = Trainer(net, data, lr, 60, seed)
    lines = []
    for step in range(0, steps + 1, EVERY):
        trainer.advance(step - trainer.step_count)
        z = net.nonlinearity_inputs(probe)[-1]
        lines.append([*np.percentile(z, list(map(int, PERCENTILES)), axis=0), z.mean(axis=0)])
    covered = np.median(np.ptp(lines, axis=0), axis=1)  # (times, lines, units) -> (lines,)
    return dict(zip(LINES, covered.tolist()))


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """In units of the sigmoid's input."""
    return {
        f"{arm}, {name}, {line}": value
        for arm in ARMS
        for name, lr in (("same rate", RATE), ("own rate", tuned[rate_of(arm)]))
        for line, value in travel(arm, lr, seed, STEPS[size]).items()
    }


def rule(found: dict) -> str:
    same, own = (all(found[f"{name}, {line}"].better for line in PERCENTILES) for name in WORDS)
    return REPRODUCES if same and own else PARTLY if same else NOT_HERE


CLAIM = Claim(
    id="figure_1_percentiles",
    sentence="With BN the distribution of a sigmoid's inputs stays steadier during training.",
    source="Ioffe & Szegedy 2015, section 4.1 and Figure 1 (b, c)",
    paper="A picture of the 15th, 50th and 85th percentile of one typical unit's inputs, without "
    "a number.",
    experiment=experiment,
    parts=gains(
        "without", "with", [f"{name}, {line}" for name in WORDS for line in LINES], doublings
    ),
    rule=rule,
    says=f"In {STEPS['full']} steps the percentiles and the mean of a typical unit of the last "
    "hidden layer cover, in units of the sigmoid's input, without | with BN: "
    + "; ".join(
        f"{words}, "
        + ", ".join(f"{line} [without, {name}, {line}] | [with, {name}, {line}]" for line in LINES)
        for name, words in WORDS.items()
    )
    + ".",
    criterion="Reproduces if all three percentiles cover less with BN, by more than the size worth "
    f"having, both at the same rate, {RATE:g}, and with the best rate of each network; partly if "
    "only at the same rate. Median over the 100 units.",
    conclude="At the same rate a typical unit's distribution is steadier with BN, and its mean "
    "most of all. At larger rates everything moves further, with BN too: compare the two halves of "
    "the numbers. That the steadiness is the cause of the faster training does not follow.",
    effect_of=["same rate, mean"],
    unit="doublings of what the mean covers",
    worth=0.5,  # doublings: 1.4 times as far
    tune=figure_1_accuracy.CLAIM.tune,
    choose=figure_1_accuracy.CLAIM.choose,
)
