"""Every claim: its form, its small run, and what is stored of it."""

import pytest

from bnlib import claims
from bnlib.claims.engine.claim import NOTEBOOK_SEEDS, TUNING_SEEDS
from bnlib.claims.engine.judging import VERDICTS
from bnlib.claims.engine.results import Results

CLAIMS = claims.claims()
SEEDS = NOTEBOOK_SEEDS[:2]  # enough for a standard error


@pytest.fixture(scope="module")
def stored():
    return Results()


@pytest.fixture(scope="module")
def ledger():
    """The ledger decides a verdict once, by hundreds of resamples of the seeds."""
    return claims.ledger()


@pytest.fixture(scope="module")
def small():
    """The notebook's runs of two seeds, each made once."""
    made = {}

    def small(claim):
        if claim.id not in made:
            made[claim.id] = claim.rerun(SEEDS)
        return made[claim.id]

    return small


@pytest.mark.parametrize("name", CLAIMS)
class TestClaim:
    def test_is_complete(self, name):
        claim = CLAIMS[name]
        assert claim.id == name and claim.seeds >= 10 and claim.worth > 0
        for text in (claim.sentence, claim.source, claim.paper, claim.criterion, claim.conclude):
            assert (text.strip() == text and text.endswith(".")) or text == claim.source
        assert (claim.tune is None) == (claim.choose is None)

    def test_small_run_has_the_names_of_the_full_one(self, name, small, stored):
        claim, rows = CLAIMS[name], small(CLAIMS[name])
        assert isinstance(claim.effect(rows[0]), float)
        assert claim.judge(rows).verdict in VERDICTS  # it reads every name that it needs
        for row in stored.rows(name).values():
            assert row.keys() == rows[0].keys()

    def test_small_run_does_not_contradict_the_ledger(self, name, small, stored):
        if full := list(stored.rows(name).values()):
            assert CLAIMS[name].contradicts(small(CLAIMS[name]), full) is None

    def test_stored_settings_follow_from_the_tuning_seeds(self, name, stored):
        claim = CLAIMS[name]
        assert set(stored.rows(name, "tune")) == (set(TUNING_SEEDS) if claim.tune else set())
        assert (stored.tuned(claim) != {}) == (claim.tune is not None)

    def test_stored_seeds_are_enough_and_none_was_used_for_tuning(self, name, stored):
        if seeds := set(stored.rows(name)):
            assert len(seeds) >= CLAIMS[name].seeds
            assert not seeds & {*TUNING_SEEDS, *NOTEBOOK_SEEDS}

    def test_stored_verdict_follows_from_the_stored_numbers(self, name, stored, ledger):
        entry = ledger[name]
        if rows := list(stored.rows(name).values()):
            assert entry.verdict == CLAIMS[name].decide(rows).verdict
            assert entry.verdict in repr(entry) and entry.effect in repr(ledger)


def test_results_hold_no_other_claims(stored):
    assert set(stored._claims) <= set(CLAIMS)
