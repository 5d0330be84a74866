"""How a claim is measured, judged, stored and shown. The claims themselves are one folder up."""

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.grids import EdgeOfGrid, best_inside, last_that_works, rate_of, tuned_rates
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Difference,
    Row,
    doublings,
    gains,
    minus,
    overall,
    side_by_side,
)

__all__ = [
    "NOT_HERE",
    "PARTLY",
    "REPRODUCES",
    "UNDECIDED",
    "Claim",
    "Difference",
    "EdgeOfGrid",
    "Row",
    "best_inside",
    "doublings",
    "gains",
    "last_that_works",
    "minus",
    "overall",
    "rate_of",
    "side_by_side",
    "tuned_rates",
]
