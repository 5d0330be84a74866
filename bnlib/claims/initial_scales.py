"""The range of initial weights from which a network still learns."""

import numpy as np

from bnlib.claims.engine import Claim, EdgeOfGrid, Row, gains
from bnlib.claims.engine.experiments import ARMS, FIVE, mlp32, mnist, trained_percent

SCALES = tuple(2.0**k for k in range(-12, 9))
RATE = 0.1
STEPS = {"full": 200, "notebook": 60}
LEARNS = {"full": (80, 60), "notebook": (40, 40)}  # percent; a strict and a mild meaning


def run(norm: str | None, scale: float, seed: int, size: str) -> float:
    net = mlp32(FIVE, norm, init_scale=scale, seed=seed)
    return trained_percent(net, mnist(pool=True), STEPS[size], RATE, seed)


def experiment(seed: int, size: str) -> Row:
    """How many doublings of the scale work, for both networks and both meanings of "learns"."""
    row = {}
    scales = SCALES if size == "full" else SCALES[::4]
    for arm, norm in ARMS.items():
        percent = [run(norm, scale, seed, size) for scale in scales]
        for name, least in zip(("strict", "mild"), LEARNS[size]):
            works = [value >= least for value in percent]
            if works[0] or works[-1]:
                raise EdgeOfGrid(f"{least} % are reached at the edge of the scales: extend them")
            row[f"{arm}, {name}"] = sum(works) * np.log2(scales[1] / scales[0])
    return row


CLAIM = Claim(
    id="initial_scales",
    sentence="With BN, training depends less on the scale of the initial weights.",
    source="Ioffe & Szegedy 2015, abstract and section 3.3",
    paper="An argument, BN(Wu) = BN(aWu), without a number.",
    experiment=experiment,
    parts=gains("with", "without", ("strict", "mild")),
    says=f"After {STEPS['full']} steps at rate {RATE:g}: "
    + "; ".join(
        f"{least} % test accuracy from [without, {name}] doublings of the initial scale without BN "
        f"and [with, {name}] with it"
        for name, least in zip(("strict", "mild"), LEARNS["full"])
    )
    + ".",
    criterion="Reproduces if the scales that learn span more doublings with BN by more than the "
    "size worth having, whether learning means 80 % test accuracy or 60 %; partly if only for one. "
    "One rate, five hidden layers of ReLUs.",
    conclude="Careless initial weights cost little with BN, in ReLU networks with five hidden "
    "layers. Not nothing: a large scale makes the relative step small, a tiny one meets eps. With "
    "the right scale the network without BN learns too.",
    unit="doublings of the scale",
    worth=2.0,  # doublings
)
