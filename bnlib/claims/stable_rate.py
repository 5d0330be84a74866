"""The largest learning rate at which a network still learns."""

import math

import numpy as np

from bnlib.claims.engine import Claim, Row, gains, last_that_works
from bnlib.claims.engine.experiments import ARMS, FIVE, mlp32, mnist, trained_percent

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
STEPS = {"full": 300, "notebook": 100}
LEARNS = {"full": (80, 60), "notebook": (40, 40)}  # percent; a strict and a mild meaning


def run(norm: str | None, lr: float, seed: int, size: str) -> float:
    net = mlp32(FIVE, norm, seed=seed)
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed)


def experiment(seed: int, size: str) -> Row:
    """log10 of the largest rate of both networks, for both meanings of "learns"."""
    row = {}
    for arm, norm in ARMS.items():
        percent = [run(norm, lr, seed, size) for lr in RATES]
        for name, least in zip(("strict", "mild"), LEARNS[size]):
            largest = last_that_works(RATES, [value >= least for value in percent])
            row[f"{arm}, {name}"] = math.log10(largest)
    return row


def says(rows: list[Row], found: dict) -> str:
    said = []
    for name, least in zip(("strict", "mild"), LEARNS["full"]):
        median = [10 ** np.median([row[f"{arm}, {name}"] for row in rows]) for arm in ARMS]
        said.append(
            f"for {least} % test accuracy {median[0]:.2g} without BN and {median[1]:.2g} with it, "
            f"{10 ** found[name].mean:.2g} times as large ([{name}] powers of ten)"
        )
    return f"Largest rate (median) after {STEPS['full']} steps: " + "; ".join(said) + "."


CLAIM = Claim(
    id="stable_rate",
    sentence="BN makes larger learning rates possible.",
    source="Ioffe & Szegedy 2015, section 3.3",
    paper="ImageNet, Inception: 30 times the original rate works, and is the most accurate.",
    experiment=experiment,
    parts=gains("with", "without", ("strict", "mild")),
    says=says,
    criterion="Reproduces if the largest rate at which the network learns grows by more than the "
    "size worth having, whether learning means 80 % test accuracy or 60 %; partly if only for one.",
    conclude="The rates that work reach higher with BN, in ReLU networks with five hidden layers. "
    "Not that larger rates are better (best_against_best), nor that BN allows any rate.",
    unit="powers of ten",
    worth=0.5,  # powers of ten: about one value of the grid
)
