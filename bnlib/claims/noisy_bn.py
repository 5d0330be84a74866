"""BN whose outputs are moved and stretched at random, anew in each step."""

import numpy as np

from bnlib.claims.engine import UNDECIDED, Claim, Row, minus, overall
from bnlib.claims.engine.altered import NoisyBatchNorm, with_norm
from bnlib.claims.engine.experiments import POOLED, mlp32, mnist, percent_of
from bnlib.network import Sequential
from bnlib.training import Trainer

SIZES = [POOLED, 100, 100, 100, 100, 10]
STEPS = {"full": 1000, "notebook": 100}
RATE = 0.1
EVERY = 20  # steps between two looks at the means


def network(arm: str, seed: int) -> Sequential:
    net = mlp32(SIZES, None if arm == "none" else "batch", "sigmoid", seed=seed)
    if arm == "noisy":
        net = with_norm(net, NoisyBatchNorm)
        for i, layer in enumerate(net.layers):
            if isinstance(layer, NoisyBatchNorm):
                layer.rng = np.random.default_rng((seed, i))
    return net


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent, and how far the means of the last hidden layer move in a look.

    The means are those of what enters the last sigmoid, for the same 200 images in training mode;
    the movement between two looks is averaged over units and looks.
    """
    data, row = mnist(pool=True), {}
    x, _ = data.batch(slice(0, 200), np.float32)
    for arm in ("none", "BN", "noisy"):
        net = network(arm, seed)
        trainer, means = Trainer(net, data, RATE, 64, seed), []
        for _ in range(STEPS[size] // EVERY):
            trainer.advance(EVERY)
            means.append(net.nonlinearity_inputs(x)[-1].mean(axis=0))
        row[f"{arm}, accuracy"] = percent_of(trainer)
        row[f"{arm}, movement"] = float(np.abs(np.diff(means, axis=0)).mean())
    return row


def rule(found: dict) -> str:
    if not found["movement"].better:
        return UNDECIDED
    return overall(found["gain"], also=found["cost"].absent)


def says(rows: list[Row], found: dict) -> str:
    stable = "" if found["movement"].better else " The noise did not make the inputs less stable."
    return (
        f"Test accuracy after {STEPS['full']} steps without BN [none, accuracy] %, with BN "
        "[BN, accuracy] %, with noise behind BN [noisy, accuracy] %. Between two looks the means "
        f"move by [none, movement], [BN, movement] and [noisy, movement].{stable}"
    )


CLAIM = Claim(
    id="noisy_bn",
    sentence="Noise behind BN makes its outputs shift more than without BN, and training does not "
    "suffer.",
    source="Santurkar et al. 2018, section 2.1 and Figure 2",
    paper="VGG on CIFAR-10: with noisy BN about as accurate as with BN, though its activations are "
    "less stable than those without BN.",
    experiment=experiment,
    parts={
        "cost": minus("BN, accuracy", "noisy, accuracy"),
        "gain": minus("noisy, accuracy", "none, accuracy"),
        "movement": minus("noisy, movement", "none, movement"),
    },
    rule=rule,
    says=says,
    criterion="Reproduces if the means of noisy BN move more than without BN, it is better than no "
    "BN by more than the size worth having, and costs less than that against BN; partly if it is "
    f"better, but costs as much. Four layers of sigmoids, rate {RATE:g}.",
    conclude="A stable distribution is not needed for what BN does here. That does not say what "
    "is: noise is no explanation either.",
    unit="points lost by noise",
    worth=3.0,  # points of accuracy
    worths={"movement": 0.0},
)
