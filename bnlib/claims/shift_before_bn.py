"""What enters BN: not pinned by construction, only by the layers below."""

from bnlib.claims.engine import Claim
from bnlib.claims.shift_after_bn import experiment, parts, says

CLAIM = Claim(
    id="shift_before_bn",
    sentence="What enters BN shifts less, too, from the second hidden layer on.",
    source="Ioffe & Szegedy 2015, section 2, read one layer further",
    paper="Not measured.",
    experiment=experiment,
    parts=parts("before"),
    says=says("before", "what the Dense layers give"),
    criterion="Reproduces if the means of what the Dense layers give shift less in the network "
    "with BN, by more than the size worth having, in every hidden layer above the first, for raw "
    "and for standardised images; partly if only in some.",
    conclude="The layers below, held by their own BN, hold what comes next as well. The first "
    "hidden layer, with the images below it, is left out: read its numbers. The network with BN "
    "learns all the same, so a network can learn without shifting much.",
    effect_of=["standardised, 4"],
    unit="doublings, layer 4, standardised images",
    worth=1.0,  # doublings: half the shift
    seeds=20,
)
