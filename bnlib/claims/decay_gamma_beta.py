"""Weight decay on everything, or on everything but gamma and beta."""

from bnlib.claims.engine import Claim, Row, gains, side_by_side
from bnlib.claims.engine.altered import PartialSGD, for_each
from bnlib.claims.engine.experiments import THREE, few_images, mlp32, percent_of
from bnlib.training import Trainer

IMAGES, RATE = 1000, 0.1  # so few images that weight decay has something to do
STEPS = {"full": (1000, 300), "notebook": (200, 60)}  # at that rate, and at a tenth of it
DECAYS = (0.001, 0.01)
PLACES = {f"{decay:g}": f"weight decay {decay:g}" for decay in DECAYS}
ARMS = ("on all", "not on gamma and beta")


def run(arm: str, decay: float, seed: int, size: str) -> float:
    net = mlp32(THREE, "batch", seed=seed)
    spared = ("gamma", "beta") if arm == ARMS[1] else ()
    decayed = for_each(net, lambda name, array: not name.endswith(spared))
    trainer = Trainer(net, few_images(seed, IMAGES), RATE, 60, seed)
    trainer.optimizer = PartialSGD(net, RATE, decay=decay * decayed)
    # Decayed weights make the step larger in effect, until single batches upset the network: at
    # the full rate, what the last step happened to do would hide the difference that is asked for.
    for steps, lr in zip(STEPS[size], (RATE, RATE / 10)):
        trainer.optimizer.lr = lr
        trainer.advance(steps)
    return percent_of(trainer, 10_000)


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent, weight decay on gamma and beta or not, and without any decay."""
    row = {f"{arm}, {decay:g}": run(arm, decay, seed, size) for decay in DECAYS for arm in ARMS}
    return row | {"no decay": run(ARMS[0], 0.0, seed, size)}


CLAIM = Claim(
    id="decay_gamma_beta",
    sentence="Weight decay does better when it leaves gamma and beta alone.",
    source="Goyal et al. 2017, section 5.1; He et al. 2019 (Bag of Tricks), section 3.1",
    paper="ResNets on ImageNet are trained without weight decay on gamma and beta; the second "
    "counts it among its tricks.",
    experiment=experiment,
    parts=gains(ARMS[1], ARMS[0], PLACES),
    says=f"Test accuracy after {sum(STEPS['full'])} steps on {IMAGES:,} images, decay {ARMS[0]} | "
    f"{ARMS[1]}: {side_by_side(*ARMS, PLACES)}. Without any decay [no decay] %.",
    criterion="Reproduces if leaving gamma and beta out of the decay gains more than the size "
    f"worth having at both decays, {DECAYS[0]:g} and {DECAYS[1]:g}; partly if at one; not at this "
    f"scale if it can at neither. Three hidden layers with BN, {IMAGES:,} images, rate {RATE:g} "
    "and a tenth of it for the last steps; the last bias is decayed in both.",
    conclude="Whether the decay of a few hundred numbers among tens of thousands shows in a small "
    "network. Compare with what decay as a whole changes. Large networks, long training and "
    "depthwise convolutions are not asked.",
    effect_of=["0.01"],
    unit=f"points, decay {DECAYS[-1]:g}",
    worth=0.5,  # points of accuracy
    seeds=20,
)
