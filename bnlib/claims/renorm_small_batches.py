"""Batch Renormalization where BN has too few examples."""

from bnlib.claims.batch_size import EXAMPLES, percent
from bnlib.claims.engine import Claim, Row, gains, side_by_side

SIZES = (2, 4)
PLACES = {f"{n}": f"batches of {n}" for n in SIZES}


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with BN and with Batch Renorm, in tiny batches."""
    return {
        f"{norm}, {n}": percent(norm, n, seed, size) for norm in ("batch", "renorm") for n in SIZES
    }


CLAIM = Claim(
    id="renorm_small_batches",
    sentence="In tiny batches, Batch Renorm learns better than BN.",
    source="Ioffe 2017, section 4.2",
    paper="Inception-v3 on ImageNet, 4 images a statistic: 76.5 % with Renorm, 74.2 % with BN.",
    experiment=experiment,
    parts=gains("renorm", "batch", PLACES),
    says=f"Test accuracy after {EXAMPLES['full']:,} images, BN | Batch Renorm: "
    f"{side_by_side('batch', 'renorm', PLACES)}.",
    criterion="Reproduces if Batch Renorm gains more than the size worth having in batches of "
    f"{SIZES[0]} and of {SIZES[1]}; partly if only in one. Dense network; the rate is proportional "
    "to the batch; limits of r and d relax over the first 100 batches.",
    conclude="Statistics that remember earlier batches help where one batch says too little. LN "
    "needs no such memory (batch_size).",
    unit="points, batches of two",
    worth=3.0,  # points of accuracy
)
