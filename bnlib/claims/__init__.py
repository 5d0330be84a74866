"""The ledger: what is said about Batch Normalization, measured, with a verdict for each claim.

    bnlib.claims.ledger()                 # all claims with their stored results
    bnlib.claims.ledger()["stable_rate"]  # one of them
    python -m bnlib.claims                # measure what is missing in results.json

A claim is a file of this folder that defines ``CLAIM``; copy one to add one. Rules, kept by the
engine where code can: the criterion is written before the full run; both arms share seed, initial
weights and batches, and are tuned on the same grid, on other seeds; "better" means beyond two
standard errors and beyond a size worth having; a verdict that fewer than 95 % of resamples of the
seeds repeat is undecided.
"""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module

from bnlib.claims.engine import Claim, EdgeOfGrid
from bnlib.claims.engine.display import Entry, Ledger
from bnlib.claims.engine.judging import Verdict
from bnlib.claims.engine.results import STORED, Results

__all__ = ["Claim", "EdgeOfGrid", "Entry", "Ledger", "Verdict", "claims", "ledger", "show"]


def claims() -> dict[str, Claim]:
    """All claims by id, in alphabetical order: every file of this folder but the command's."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg)
    return {name: import_module(f"{__name__}.{name}").CLAIM for name in names if name != "__main__"}


def ledger(path: str | os.PathLike = STORED) -> Ledger:
    """The claims with their stored results; verdicts are recomputed from the numbers."""
    results = Results(path)

    def entry(claim: Claim) -> Entry:
        tuned = results.tuned(claim) if results.rows(claim.id, "tune") else {}
        return Entry(claim, results.rows(claim.id), tuned)

    return Ledger({name: entry(claim) for name, claim in claims().items()})


def show(claim_id: str) -> Entry:
    """The card of one claim: ``ledger()[claim_id]``."""
    return ledger()[claim_id]
