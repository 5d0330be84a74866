"""Running averages behind the weights: how far, at three momenta."""

import copy

from bnlib.claims.engine import Claim, Row, minus, overall
from bnlib.claims.engine.experiments import THREE, batch_norms, mlp32, mnist, percent_right
from bnlib.inference import population_statistics
from bnlib.training import Trainer

LOOKS = {  # steps
    "full": {"early": 10, "middle": 100, "late": 1000},
    "notebook": {"early": 10, "middle": 50, "late": 200},
}
MOMENTA = {"0.1": 0.1, "0.01": 0.01, "0.001": 0.001, "None": None}  # bnlib's, PyTorch's convention
LAGGING = ("0.1", "0.01", "0.001")
RATE, BATCH = 0.1, 64  # those of notebook 06


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent at three looks: with running averages of each momentum, and with
    population statistics, all of the same weights: training does not read the averages."""
    data, row = mnist(pool=True), {}
    for name, momentum in MOMENTA.items():
        net = mlp32(THREE, "batch", seed=seed)
        for layer in batch_norms(net):
            layer.momentum = momentum
        trainer = Trainer(net, data, RATE, BATCH, seed)
        for look, step in LOOKS[size].items():
            trainer.advance(step - trainer.step_count)
            row[f"{name}, {look}"] = percent_right(net, data, 5000)
            if name == "0.1":
                exact = population_statistics(copy.deepcopy(net), data, n=10_000)
                row[f"population, {look}"] = percent_right(exact, data, 5000)
    return row


CLAIM = Claim(
    id="averages_lag",
    sentence="Running averages lag: early in training, population statistics are more accurate.",
    source="Wu & Johnson 2021, section 3",
    paper="ResNet-50 on ImageNet: running averages give a worse and noisier accuracy early in "
    "training; at the end both agree.",
    experiment=experiment,
    parts={
        f"cost of {name}, {look}": minus(f"population, {look}", f"{name}, {look}")
        for look in ("early", "late")
        for name in LAGGING
    },
    rule=lambda found: overall(*(found[f"cost of {name}, early"] for name in LAGGING)),
    says="Test accuracy: "
    + "; ".join(
        f"after {LOOKS['full'][look]} steps population statistics give [population, {look}] %, "
        "and averages of momentum 0.1 | 0.01 | 0.001 cost "
        + " | ".join(f"[cost of {name}, {look}]" for name in LAGGING)
        + " points"
        for look in ("early", "late")
    )
    + ".",
    criterion="Reproduces if after 10 steps the averages of momentum 0.1, 0.01 and 0.001 all cost "
    "more than the size worth having, against population statistics of the same weights; partly if "
    "only some do.",
    conclude="A network that is tested after few steps, or with a momentum of 0.001 (Keras calls "
    "it 0.999) even after many, looks worse than it is; its weights are not. How many steps are "
    "enough follows from the momentum: what is left of the start is (1 - momentum)^steps.",
    unit="points, momentum 0.1 after 10 steps",
    worth=2.0,  # points of accuracy
)
