"""Accuracy against batch size, for BN and for norms that never look at the batch."""

from functools import lru_cache

from bnlib.claims.engine import Claim, Row, minus, overall
from bnlib.claims.engine.experiments import THREE, mlp32, mnist, trained_percent

NORMS = {"none": None, "BN": "batch", "LN": "layer", "GN": "group"}
SIZES = (2, 4, 8, 32)  # examples in a batch
EXAMPLES = {"full": 19_200, "notebook": 1_920}  # seen in all, so small batches make more steps
RATE = 0.1 / 32  # for each example in the batch: the linear scaling rule


@lru_cache  # renorm_small_batches asks for some of the same runs
def percent(norm: str | None, n: int, seed: int, size: str) -> float:
    """Test accuracy in percent after all the examples, in batches of n."""
    net, steps = mlp32(THREE, norm, seed=seed), EXAMPLES[size] // n
    return trained_percent(net, mnist(pool=True), steps, RATE * n, seed, batch_size=n)


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of four networks at four batch sizes, the same images seen."""
    return {
        f"{arm}, {n}": percent(norm, n, seed, size) for arm, norm in NORMS.items() for n in SIZES
    }


CLAIM = Claim(
    id="batch_size",
    sentence="BN gets worse in small batches; LN and GN do not.",
    source="Wu & He 2018, Figure 1 and Table 2",
    paper="ResNet-50 on ImageNet: error 24.1 % with GN at any batch size; with BN 23.6 % at 32 "
    "images a worker, 34.7 % at 2.",
    experiment=experiment,
    parts={arm: minus(f"{arm}, 32", f"{arm}, 2") for arm in ("BN", "LN", "GN")},
    rule=lambda found: overall(found["BN"], also=found["LN"].absent and found["GN"].absent),
    says=f"Test accuracy in percent after {EXAMPLES['full']:,} images, in batches of 2, 4, 8, 32: "
    + "; ".join(f"{arm} " + ", ".join(f"[{arm}, {n}:.1f]" for n in SIZES) for arm in NORMS)
    + ". Batches of 2 cost BN [BN] points, LN [LN], GN [GN] (BN at 2: [BN, 2] %).",
    criterion=f"Reproduces if batches of {SIZES[0]} in place of {SIZES[-1]} cost BN more than the "
    "size worth having, and LN and GN less than that; partly if they cost LN or GN as much. Dense "
    "network, three hidden layers; the rate is proportional to the batch, and all see the same "
    "number of images.",
    conclude="BN needs batches, and in a dense network two examples are none: next to nothing "
    "passes back through it. What has its statistics inside one example does not notice. It does "
    "not say that these are better elsewhere: compare with the network without a norm, and see "
    "conv_batch_of_two for images.",
    unit="points, BN",
    worth=3.0,  # points of accuracy
)
