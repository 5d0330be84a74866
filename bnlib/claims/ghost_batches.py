"""Whether statistics over parts of a large batch generalise better."""

from bnlib.claims.engine import Claim, Row, gains, side_by_side
from bnlib.claims.engine.experiments import few_images, mlp32, trained_percent

SIZES = [196, 100, 100, 100, 10]
IMAGES = 2000
BATCH = 500  # 31 ghost batches of at least 16
RATES = (0.1, 0.3)
PLACES = {f"{lr:g}": f"rate {lr:g}" for lr in RATES}
STEPS = {"full": 300, "notebook": 120}


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with BN over the batch and over ghost batches, at two rates."""
    data, row = few_images(seed, IMAGES), {}
    for norm in ("batch", "ghost"):
        for lr in RATES:
            net = mlp32(SIZES, norm, seed=seed)
            row[f"{norm}, {lr:g}"] = trained_percent(
                net, data, STEPS[size], lr, seed, BATCH, count=10_000
            )
    return row


CLAIM = Claim(
    id="ghost_batches",
    sentence="In large batches, statistics over small parts (Ghost BN) generalise better.",
    source="Hoffer et al. 2017, section 4 and Table 1",
    paper="Image classifiers trained with batches of 4,096: up to some points of test accuracy.",
    experiment=experiment,
    parts=gains("ghost", "batch", PLACES),
    says=f"Test accuracy, batches of {BATCH}, BN | Ghost BN: "
    f"{side_by_side('batch', 'ghost', PLACES)}.",
    criterion="Reproduces if Ghost BN gains more than the size worth having at both rates, "
    f"{RATES[0]:g} and {RATES[1]:g}; partly if only at one. {IMAGES:,} images, batches of {BATCH}, "
    "ghost batches of 16.",
    conclude="What the noise of small batches is worth as a regulariser in a small dense network. "
    "The paper's networks and batches are far larger, and train far longer.",
    effect_of=list(PLACES),
    unit="points, mean of both rates",
    worth=0.5,  # points of accuracy
    seeds=20,
)
