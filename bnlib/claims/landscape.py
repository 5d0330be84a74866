"""The loss along the gradient: how much it varies, and how fast the gradient turns."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bnlib.claims.engine import Claim, Row, minus
from bnlib.claims.engine.experiments import ARMS, FIVE, mnist
from bnlib.landscape import loss_along_gradient
from bnlib.network import mlp
from bnlib.training import Trainer

STEPS = {"full": 300, "notebook": 120}
EVERY = 20  # steps between two looks
RATES = (0.03, 0.1)
DISTANCES = np.linspace(0.1, 2.0, 8)  # steps of the training rate
WHAT = {"range": "the loss varies by", "turn": "the gradient changes by", "smoothness": "beta is"}


@lru_cache  # smoothness asks for the same runs
def run(norm: str | None, lr: float, seed: int, size: str) -> dict[str, float]:
    """Medians over the looks, as powers of ten."""
    data = mnist(pool=True)
    net = mlp(FIVE, norm, seed=seed, dtype=np.float64)
    trainer, looks = Trainer(net, data, lr, 64, seed), []
    x, y = data.batch(slice(0, 256), np.float64)
    for _ in range(STEPS[size] // EVERY):
        looks.append(loss_along_gradient(net, x, y, lr * DISTANCES))
        trainer.advance(EVERY)
    measured = {
        "range": [np.ptp(look.losses) for look in looks],
        "turn": [look.turned.max() for look in looks],
        "smoothness": [look.smoothness.max() for look in looks],
    }
    return {name: float(np.log10(np.median(values))) for name, values in measured.items()}


def experiment(seed: int, size: str) -> Row:
    """log10 of the range of the loss, of the relative change of the gradient, and of beta."""
    return {
        f"{arm}, {name}, {lr:g}": value
        for arm, norm in ARMS.items()
        for lr in RATES
        for name, value in run(norm, lr, seed, size).items()
    }


def parts(*names: str) -> dict[str, Callable[[Row], float]]:
    """By how many powers of ten each is smaller with BN, at both rates; smoothness asks too."""
    return {
        f"{name}, {lr:g}": minus(f"without, {name}, {lr:g}", f"with, {name}, {lr:g}")
        for name in names
        for lr in RATES
    }


def says(rows: list[Row], found: dict) -> str:
    said = []
    for part in found:
        name, lr = part.split(", ")
        before, after = (10 ** np.median([row[f"{arm}, {part}"] for row in rows]) for arm in ARMS)
        said.append(
            f"at rate {lr} {WHAT[name]} {before:.2g} without BN and {after:.2g} with it "
            f"([{part}] powers of ten less)"
        )
    return "Along the gradient, medians: " + "; ".join(said) + "."


CLAIM = Claim(
    id="landscape",
    sentence="With BN the loss varies less along the gradient, and the gradient changes less.",
    source="Santurkar et al. 2018, section 3.1 and Figure 4 (a) and (b)",
    paper="VGG on CIFAR-10: both are smaller with BN through all of training.",
    experiment=experiment,
    parts=parts("range", "turn"),
    says=says,
    criterion="Reproduces if both are smaller with BN by more than the size worth having, at the "
    f"rates {RATES[0]:g} and {RATES[1]:g}; partly if only in some of the four comparisons. Five "
    "hidden layers of ReLUs, moves of 0.1 to 2 training steps.",
    conclude="What a step meets on its way. A network that learns faster is elsewhere on its loss, "
    "so this compares places as well as landscapes.",
    effect_of=list(parts("range")),
    unit="powers of ten less, range",
    worth=0.1,  # powers of ten: a factor of 1.26
)
