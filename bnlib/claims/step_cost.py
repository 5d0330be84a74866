"""How much longer a training step takes with BN. Times depend on the machine; ratios less."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.experiments import ARMS, mnist
from bnlib.claims.engine.judging import Row, Verdict, column, difference, overall, shown
from bnlib.network import Sequential, cnn, mlp
from bnlib.training import Trainer

ROUNDS = {"full": 40, "notebook": 3}
WORTH = 10.0  # percent of a step


def networks(kind: str, seed: int) -> dict[str, Sequential]:
    made = {}
    for arm, norm in ARMS.items():
        if kind == "dense":
            made[arm] = mlp(
                [784, 100, 100, 100, 10],
                norm=norm,
                activation="sigmoid",
                seed=seed,
                dtype=np.float32,
            )
        else:
            made[arm] = cnn((1, 16, 32), norm=norm, seed=seed, dtype=np.float32)
    return made


def experiment(seed: int, size: str) -> Row:
    """How many percent longer a step takes with BN: median against median, taken in turn."""
    row = {}
    for kind, steps in (("dense", 10), ("CNN", 1)):
        data = mnist() if kind == "dense" else mnist(shape="image", n_train=1000)
        trainers = {
            arm: Trainer(net, data, 0.01, 60, seed) for arm, net in networks(kind, seed).items()
        }
        times = {arm: [] for arm in ARMS}
        for _ in range(ROUNDS[size]):
            for arm, trainer in trainers.items():
                start = perf_counter()
                trainer.advance(steps)
                times[arm].append(perf_counter() - start)
        ratio = np.median(times["with"]) / np.median(times["without"])
        row[kind] = 100 * (ratio - 1)
    return row


def effect(row: Row) -> float:
    """What BN adds to a step of the dense network."""
    return row["dense"]


def judge(rows: Sequence[Row]) -> Verdict:
    dense = difference(column(rows, "dense"), WORTH)
    sentence = (
        f"A step takes {shown(rows, 'dense')} % longer with BN in the dense network of Figure 1, "
        f"{shown(rows, 'CNN')} % in a small CNN, on the machine of the ledger."
    )
    return Verdict(overall([dense]), sentence)


CLAIM = Claim(
    id="step_cost",
    sentence="A step with BN takes longer: fewer steps are not as many times fewer seconds.",
    source="Gitman & Ginsburg 2017, section 1",
    paper="From memory: BN takes about a quarter of the time of a step of ResNet-50 on a GPU.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if in the dense network a step takes longer by more than the size worth "
        "having. Ratios of medians, both networks taken in turn."
    ),
    conclude=(
        "The order of size, for NumPy on a CPU. The number depends on the machine, on what else "
        "runs there and on the sizes of the layers; elsewhere it is another."
    ),
    effect=effect,
    unit="percent of a step",
    worth=WORTH,
    exact=False,
)
