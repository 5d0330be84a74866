"""Accuracy beside the shift: what is gained where BN removes the shift."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict, difference, shown
from bnlib.claims.shift_after_bn import DEPTH, IMAGES, RATE, STEPS, experiment

WORTH = 1.0  # points of accuracy


def gain(row: Row, images: str) -> float:
    return row[f"{images}, with, accuracy"] - row[f"{images}, without, accuracy"]


def effect(row: Row) -> float:
    """For standardised images."""
    return gain(row, "standardised")


def judge(rows: Sequence[Row]) -> Verdict:
    gains = {images: difference([gain(row, images) for row in rows], WORTH) for images in IMAGES}
    parts = [
        f"{images} images: the shift of layer {DEPTH} goes from "
        f"{shown(rows, f'{images}, without, after, {DEPTH}')} to "
        f"{shown(rows, f'{images}, with, after, {DEPTH}')}, the accuracy from "
        f"{shown(rows, f'{images}, without, accuracy')} % to "
        f"{shown(rows, f'{images}, with, accuracy')} % ({gains[images]} points)"
        for images in IMAGES
    ]
    sentence = f"With BN, {STEPS['full']} steps at rate {RATE:g}, " + "; ".join(parts) + "."
    better = [d.better for d in gains.values()]
    if all(better):
        return Verdict("reproduces", sentence)
    return Verdict("partly" if any(better) else "not at this scale", sentence)


CLAIM = Claim(
    id="shift_and_accuracy",
    sentence="Where BN removes the shift, the network becomes more accurate.",
    source="Ioffe & Szegedy 2015, section 1; doubted by Santurkar et al. 2018, section 2",
    paper="The paper's explanation, without a number of its own.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if BN gains more accuracy than the size worth having both for raw and for "
        "standardised images, in networks whose shift it removes (shift_after_bn); partly if only "
        "for one of the two. ReLUs, the same rate for both networks."
    ),
    conclude=(
        "Removing the shift and gaining accuracy are two things: each pair of numbers shows both, "
        "and the shift can go without a gain. That the shift never matters does not follow, nor "
        "that BN does not help: see the other claims for rates and scales."
    ),
    effect=effect,
    unit="points, standardised images",
    worth=WORTH,
    seeds=20,
)
