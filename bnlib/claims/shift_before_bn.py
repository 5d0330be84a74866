"""What enters BN: not pinned by construction, only by the layers below."""

from __future__ import annotations

from collections.abc import Sequence

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row, Verdict
from bnlib.claims.shift_after_bn import DEPTH, doublings, experiment, judged

WORTH = 1.0  # doublings: half the shift


def judge(rows: Sequence[Row]) -> Verdict:
    return judged(rows, "before", WORTH, "what the Dense layers give")


def effect(row: Row) -> float:
    """In the last hidden layer, for standardised images, where there is less shift to remove."""
    return doublings(row, "before", "standardised", DEPTH)


CLAIM = Claim(
    id="shift_before_bn",
    sentence="What enters BN shifts less, too, from the second hidden layer on.",
    source="Ioffe & Szegedy 2015, section 2, read one layer further",
    paper="Not measured.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the means of what the Dense layers give shift less in the network with BN, "
        "by more than the size worth having, in every hidden layer above the first, for raw and "
        "for standardised images; partly if only in some."
    ),
    conclude=(
        "The layers below, held by their own BN, hold what comes next as well. The first hidden "
        "layer, with the images below it, is left out: read its numbers. The network with BN "
        "learns all the same, so a network can learn without shifting much."
    ),
    effect=effect,
    unit="doublings, layer 4, standardised images",
    worth=WORTH,
    seeds=20,
)
