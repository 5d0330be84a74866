"""How much longer a training step takes with BN. Times depend on the machine; ratios less."""

from time import perf_counter

import numpy as np

from bnlib.claims.engine import Claim, Row
from bnlib.claims.engine.experiments import ARMS, mlp32, mnist
from bnlib.network import Sequential, cnn
from bnlib.training import Trainer

ROUNDS = {"full": 40, "notebook": 3}


def network(kind: str, norm: str | None, seed: int) -> Sequential:
    if kind == "dense":
        return mlp32([784, 100, 100, 100, 10], norm, "sigmoid", seed=seed)
    return cnn((1, 16, 32), norm, seed=seed, dtype=np.float32)


def experiment(seed: int, size: str) -> Row:
    """How many percent longer a step takes with BN: median against median, taken in turn."""
    row = {}
    for kind, steps in (("dense", 10), ("CNN", 1)):
        data = mnist() if kind == "dense" else mnist(shape="image", n_train=1000)
        trainers = {
            arm: Trainer(network(kind, norm, seed), data, 0.01, 60, seed)
            for arm, norm in ARMS.items()
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


CLAIM = Claim(
    id="step_cost",
    sentence="A step with BN takes longer: fewer steps are not as many times fewer seconds.",
    source="Gitman & Ginsburg 2017, section 1",
    paper="From memory: BN takes about a quarter of the time of a step of ResNet-50 on a GPU.",
    experiment=experiment,
    parts={"longer": lambda row: row["dense"]},
    says="A step takes [dense] % longer with BN in the dense network of Figure 1, [CNN] % in a "
    "small CNN, on the machine of the ledger.",
    criterion="Reproduces if in the dense network a step takes longer by more than the size worth "
    "having. Ratios of medians, both networks taken in turn.",
    conclude="The order of size, for NumPy on a CPU. The number depends on the machine, on what "
    "else runs there and on the sizes of the layers; elsewhere it is another.",
    unit="percent of a step",
    worth=10.0,  # percent of a step
)
