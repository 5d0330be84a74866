"""Accuracy beside the shift: what is gained where BN removes the shift."""

from bnlib.claims.engine import Claim, minus
from bnlib.claims.shift_after_bn import DEPTH, IMAGES, RATE, STEPS, experiment

CLAIM = Claim(
    id="shift_and_accuracy",
    sentence="Where BN removes the shift, the network becomes more accurate.",
    source="Ioffe & Szegedy 2015, section 1; doubted by Santurkar et al. 2018, section 2",
    paper="The paper's explanation, without a number of its own.",
    experiment=experiment,
    parts={
        images: minus(f"{images}, with, accuracy", f"{images}, without, accuracy")
        for images in IMAGES
    },
    says=f"With BN, {STEPS['full']} steps at rate {RATE:g}, "
    + "; ".join(
        f"{images} images: the shift of layer {DEPTH} goes from "
        f"[{images}, without, after, {DEPTH}] to [{images}, with, after, {DEPTH}], the accuracy "
        f"from [{images}, without, accuracy] % to [{images}, with, accuracy] % ([{images}] points)"
        for images in IMAGES
    )
    + ".",
    criterion="Reproduces if BN gains more accuracy than the size worth having both for raw and "
    "for standardised images, in networks whose shift it removes (shift_after_bn); partly if only "
    "for one of the two. ReLUs, the same rate for both networks.",
    conclude="Removing the shift and gaining accuracy are two things: each pair of numbers shows "
    "both, and the shift can go without a gain. That the shift never matters does not follow, nor "
    "that BN does not help: see the other claims for rates and scales.",
    effect_of=["standardised"],
    unit="points, standardised images",
    worth=1.0,  # points of accuracy
    seeds=20,
)
