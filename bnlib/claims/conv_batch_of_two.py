"""Batches of two images in a CNN: a channel still has hundreds of values."""

import numpy as np

from bnlib.claims.engine import NOT_HERE, PARTLY, REPRODUCES, UNDECIDED, Claim, Row, minus
from bnlib.claims.engine.experiments import mnist, trained_percent
from bnlib.network import cnn

NORMS = {"none": None, "BN": "batch", "GN": "group"}
EXAMPLES = {"full": 6_400, "notebook": 640}
RATE = 0.1 / 32  # for each image in the batch
COST = {arm: minus(f"{arm}, 32", f"{arm}, 2") for arm in NORMS}  # of small batches


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of three CNNs at two batch sizes, the same images seen."""
    data, row = mnist(pool=True, shape="image"), {}
    for arm, norm in NORMS.items():
        for n in (2, 32):
            net = cnn((1, 8, 16), norm, image_size=14, seed=seed, dtype=np.float32)
            steps = EXAMPLES[size] // n
            row[f"{arm}, {n}"] = trained_percent(net, data, steps, RATE * n, seed, n, 1000)
    return row


def rule(found: dict) -> str:
    if found["cost"].absent:
        return REPRODUCES
    if found["more"].absent:
        return PARTLY
    return NOT_HERE if found["cost"].better else UNDECIDED


CLAIM = Claim(
    id="conv_batch_of_two",
    sentence="In a CNN, BN bears batches of two images.",
    source="Measured here; for small batches see Wu & He 2018, Figure 1",
    paper="ResNet-50 on ImageNet trains with BN at 2 images a worker, with an error 11 points "
    "higher than at 32.",
    experiment=experiment,
    parts={"more": lambda row: COST["BN"](row) - COST["none"](row), "cost": COST["BN"]},
    rule=rule,
    says=f"Test accuracy after {EXAMPLES['full']:,} images, in batches of 2 | 32: "
    + "; ".join(f"{arm} [{arm}, 2] | [{arm}, 32] %" for arm in NORMS)
    + ". Batches of two cost BN [cost] points, [more] more than the network without a norm.",
    criterion="Reproduces if batches of 2 in place of 32 cost BN less than the size worth having; "
    "partly if they cost more, but not more than they cost the network without a norm. The rate is "
    "proportional to the batch, and all see the same number of images.",
    conclude="Two images of 14 x 14 give each channel 392 values, so two directions less are "
    "nothing. That BN survives does not make it the best choice: compare with GN and with no norm.",
    unit="points more than none",
    worth=5.0,  # points of accuracy
)
