"""The rules of the ledger, on claims made up for the purpose."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from bnlib import claims
from bnlib.claims.__main__ import main
from bnlib.claims.engine import measuring, results
from bnlib.claims.engine.claim import NOTEBOOK_SEEDS, TUNING_SEEDS, Claim
from bnlib.claims.engine.display import NOT_MEASURED, Entry, Ledger
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Difference,
    EdgeOfGrid,
    Verdict,
    best_inside,
    decide,
    difference,
    last_that_works,
    mean_error,
    overall,
    plus_minus,
)
from bnlib.claims.engine.results import Results

calls = []


def experiment(seed, size, lr=1.0):
    calls.append(seed)
    return {"gain": lr * np.random.default_rng(seed).normal(3, 1)}


def judge(rows):
    gain = difference([row["gain"] for row in rows], 1.0)
    return Verdict(REPRODUCES if gain.better else NOT_HERE, f"The gain is {gain}.")


CLAIM = Claim(
    id="made_up",
    sentence="A gain.",
    source="None, section 1",
    paper="2",
    experiment=experiment,
    judge=judge,
    criterion="Reproduces if it is better.",
    conclude="Nothing.",
    effect=lambda row: row["gain"],
    unit="points",
    worth=1.0,
)


def tune(seed):
    return {f"{lr:g}": -((lr - 2) ** 2) + seed / 1e6 for lr in (1, 2, 3)}


def choose(rows):
    scores = np.array([np.mean([row[f"{lr}"] for row in rows]) for lr in (1, 2, 3)])
    return best_inside({"lr": (1, 2, 3)}, scores)


TUNED = replace(CLAIM, id="tuned", tune=tune, choose=choose)


@pytest.fixture
def stored(tmp_path):
    calls.clear()
    return Results(tmp_path / "results.json")


def run(claim, stored, **options):
    measuring.run([claim], stored, progress=False, **options)
    return stored.rows(claim.id)


class TestJudging:
    def test_standard_error_is_that_of_a_mean(self):
        mean, error = mean_error([1.0, 2.0, 3.0, 4.0])
        assert (mean, error) == pytest.approx((2.5, np.sqrt(5 / 3) / 2))

    @pytest.mark.parametrize(
        "mean, error, better, absent, same",
        [
            (3, 1, True, False, False),
            (3, 1.6, False, False, False),  # within two standard errors
            (0.9, 0.01, False, True, True),  # certain, but not worth having
            (-3, 1, False, True, False),
            (0.5, 0.4, False, False, False),  # could still be worth having
        ],
    )
    def test_better_needs_certainty_and_size(self, mean, error, better, absent, same):
        d = Difference(mean, error, worth=1.0)
        assert (d.better, d.absent, d.same) == (better, absent, same)
        assert Difference(-mean, error, worth=1.0).worse == better

    @pytest.mark.parametrize(
        "mean, error, text",
        [(93.14, 0.42, "93.1 ± 0.4"), (93.14, 0.12, "93.14 ± 0.12"), (930.4, 42, "930 ± 42"),
         (0.5, 0, "0.5 ± 0")],
    )  # fmt: skip
    def test_digits_follow_the_error(self, mean, error, text):
        assert plus_minus(mean, error) == text

    def test_a_verdict_that_resamples_do_not_repeat_is_undecided(self):
        steady = [{"gain": 3 + 0.1 * (-1) ** i} for i in range(10)]
        assert decide(judge, steady) == replace(judge(steady), repeated=1.0)
        one_seed = [{"gain": 1.9}] * 6 + [{"gain": 0.4}] * 4  # 1.3 +- 0.25, just above 1
        assert judge(one_seed).verdict == REPRODUCES
        decided = decide(judge, one_seed)
        assert decided.verdict == UNDECIDED and 0.5 < decided.repeated < 0.95
        assert 'give "reproduces"' in decided.sentence

    def test_a_claim_in_parts(self):
        yes, no, unclear = Difference(3, 0.1, 1), Difference(0, 0.1, 1), Difference(0.9, 0.3, 1)
        assert overall([yes, yes]) == REPRODUCES
        assert overall([yes, no]) == overall([unclear, yes]) == PARTLY
        assert overall([no, no]) == NOT_HERE
        assert overall([no, unclear]) == UNDECIDED

    def test_only_the_four_verdicts(self):
        with pytest.raises(ValueError, match="expected a verdict out of"):
            Verdict("true", "")

    @pytest.mark.parametrize(
        "scores, best", [([1, 3, 2], 0.1), ([3, 2, 1], None), ([1, 2, 3], None)]
    )
    def test_a_best_value_at_the_edge_is_an_error(self, scores, best):
        grid = {"lr": (0.01, 0.1, 1.0)}
        if best:
            assert best_inside(grid, np.array(scores)) == {"lr": best}
        else:
            with pytest.raises(EdgeOfGrid, match="extend the grid"):
                best_inside(grid, np.array(scores))

    def test_each_axis_has_edges_of_its_own(self):
        grid = {"lr": (0.01, 0.1, 1.0), "scale": (1, 2, 4)}
        scores = np.zeros((3, 3))
        scores[1, 2] = 1
        with pytest.raises(EdgeOfGrid, match="best scale, 4"):
            best_inside(grid, scores)

    def test_the_limit_lies_inside_its_grid(self):
        assert last_that_works((1, 2, 3, 4), (True, True, False, True)) == 2
        assert last_that_works((1, 2, 3), (False, True, False)) == 2
        for works in ((True, True, True), (False, False, False)):
            with pytest.raises(EdgeOfGrid):
                last_that_works((1, 2, 3), works)


class TestMeasuring:
    def test_one_process_and_many_give_the_same_numbers(self, stored, tmp_path):
        known = claims.claims()["gradient_flow"]
        alone = run(known, stored, seeds=2)
        with ThreadPoolExecutor(2) as executor:
            many = run(known, Results(tmp_path / "many.json"), seeds=2, executor=executor)
        assert alone == many and len(alone) == 2

    def test_an_interrupt_loses_only_what_was_under_way(self, stored):
        def stopped(seed, size):
            if seed == 103:
                raise KeyboardInterrupt
            return experiment(seed, size)

        with pytest.raises(KeyboardInterrupt):
            run(replace(CLAIM, experiment=stopped), stored)
        resumed = Results(stored.path)
        assert list(resumed.rows("made_up")) == [100, 101, 102]
        calls.clear()
        rows = run(CLAIM, resumed)
        assert calls == list(range(103, 110)) and list(rows) == list(range(100, 110))
        fresh = Results(stored.path.with_name("fresh.json"))
        assert run(CLAIM, fresh) == rows and fresh.path.read_text() == stored.path.read_text()

    def test_settings_come_from_the_tuning_seeds_alone(self, stored):
        rows = run(TUNED, stored, seeds=2)
        assert stored.tuned(TUNED) == {"lr": 2}
        assert set(stored.rows("tuned", "tune")) == set(TUNING_SEEDS)
        assert rows[100]["gain"] == pytest.approx(experiment(100, "full", 2)["gain"], rel=1e-4)
        for seeds in (NOTEBOOK_SEEDS, range(100, 300)):
            assert not set(TUNING_SEEDS) & set(seeds)

    def test_only_tune_measures_nothing_else(self, stored):
        assert run(TUNED, stored, only_tune=True) == {} and calls == []
        assert stored.tuned(TUNED) == {"lr": 2}

    def test_a_failed_claim_does_not_stop_the_others(self, stored):
        edge = replace(TUNED, id="edge", tune=lambda seed: {"1": 3, "2": 2, "3": 1})
        with pytest.raises(EdgeOfGrid) as caught:
            measuring.run([edge, CLAIM], stored, progress=False)
        assert "in the claim edge" in caught.value.__notes__[0]
        assert stored.rows("edge") == {} and len(stored.rows("made_up")) == 10

    def test_numbers_are_finite_and_rounded(self):
        broken = replace(CLAIM, experiment=lambda seed, size: {"gain": np.nan})
        with pytest.raises(ValueError, match="expected finite numbers, seed 7 gave"):
            measuring.measure(broken, "experiment", 7)
        third = replace(CLAIM, experiment=lambda seed, size: {"gain": np.float64(1 / 3)})
        assert measuring.measure(third, "experiment", 7) == {"gain": 0.33333}
        with pytest.raises(ValueError, match="expected a size"):
            measuring.measure(CLAIM, "experiment", 7, "huge")

    def test_other_numbers_than_those_stored_are_refused(self, stored):
        run(CLAIM, stored, seeds=1)
        renamed = replace(CLAIM, experiment=lambda seed, size: {"loss": 1.0})
        with pytest.raises(ValueError, match="was the claim changed since"):
            run(renamed, stored, seeds=2)


class TestResults:
    def test_a_line_a_seed_and_nothing_of_the_machine(self, stored):
        run(TUNED, stored, seeds=3)
        text = stored.path.read_text()
        assert len(re.findall(r'^ *"\d+": \{.*\},?$', text, re.M)) == 3 + len(TUNING_SEEDS)
        content = json.loads(text)["tuned"]
        assert set(content) == {"versions", "tune", "experiment"}
        assert set(content["versions"]) == {"bnlib", "numpy", "python"}

    def test_a_write_that_fails_leaves_the_old_file(self, stored, monkeypatch):
        run(CLAIM, stored, seeds=1)
        before = stored.path.read_text()

        def killed(source, target):
            raise KeyboardInterrupt

        monkeypatch.setattr(results.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            stored.add("made_up", "experiment", 101, {"gain": 1.0})
        assert stored.path.read_text() == before

    @pytest.mark.parametrize("text", ["<<<<<<< HEAD", "[]", '{"a": 1}', '{"a": {"experiment": 1}}'])
    def test_a_file_of_another_form_is_named(self, tmp_path, text):
        path = tmp_path / "results.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"expected results of .* in results\.json"):
            Results(path)

    def test_not_tuned_says_what_to_run(self, stored):
        with pytest.raises(ValueError, match="--only-tune"):
            stored.tuned(TUNED)


class TestDisplay:
    @pytest.fixture
    def entry(self, stored):
        return Entry(CLAIM, run(CLAIM, stored), {"lr": 0.3}, stored.versions("made_up"))

    def test_verdict_follows_from_the_numbers(self, entry):
        decided = CLAIM.decide(list(entry.rows.values()))
        assert (entry.verdict, entry.sentence) == (REPRODUCES, decided.sentence)
        less = {seed: {"gain": row["gain"] - 4} for seed, row in entry.rows.items()}
        assert replace(entry, rows=less).verdict == NOT_HERE
        assert replace(entry, rows={}).verdict == NOT_MEASURED

    def test_card_and_table_hold_what_counts(self, entry):
        for text in (repr(entry), entry._repr_html_()):
            for part in (entry.sentence, "None, section 1", "Nothing.", "10, from 100 to 109"):
                assert part in re.sub(r"\s+", " ", text)
            assert "Worth having: 1 points" in re.sub(r"\s+", " ", text)
        table = Ledger({"a": entry, "b": replace(entry, rows={})})
        assert f"{entry.effect}" in repr(table) and NOT_MEASURED in repr(table)
        assert table._repr_html_().count("<tr>") == 3
        assert list(table[["b", "a"]]) == ["b", "a"]
        with pytest.raises(KeyError, match="no claim 'c'; there are a, b"):
            table["c"]

    def test_card_concludes_nothing_without_numbers(self, entry):
        conclude = "A conclusion that needs numbers."
        entry = replace(entry, claim=replace(CLAIM, conclude=conclude))
        unmeasured = replace(entry, rows={})
        assert conclude in repr(entry) and conclude in entry._repr_html_()
        for text in (repr(unmeasured), unmeasured._repr_html_()):
            assert conclude not in text and "Nothing yet." in text

    def test_contradiction(self):
        def rows(mean):
            return [{"gain": mean + 0.1 * (-1) ** i} for i in range(4)]

        assert CLAIM.contradicts(rows(0.1), rows(3)) is None
        assert "made_up" in CLAIM.contradicts(rows(-0.1), rows(3))
        assert CLAIM.contradicts(rows(3), rows(0.1)) and CLAIM.contradicts(rows(3), rows(-3))
        assert CLAIM.contradicts(rows(0.5), rows(0.1)) is None


class TestCommand:
    def test_measures_stores_and_prints(self, tmp_path, capsys):
        path = tmp_path / "new.json"
        arguments = ["gradient_flow", "--seeds", "3", "--results", str(path), "--jobs", "1"]
        assert main(arguments) == 0
        assert "gradient_flow" in capsys.readouterr().out
        assert list(Results(path).rows("gradient_flow")) == [100, 101, 102]
        assert main([*arguments, "--first-seed", "200", "--again"]) == 0
        assert "Other verdicts than the ledger's:" in capsys.readouterr().out
        assert list(Results(path).rows("gradient_flow")) == [200, 201, 202]

    def test_two_processes_write_the_same_file_as_one(self, tmp_path):
        files = [tmp_path / "one.json", tmp_path / "two.json"]
        for path, jobs in zip(files, ("1", "2")):
            arguments = ["best_against_best", "gradient_flow", "--seeds", "2", "--jobs", jobs]
            assert main([*arguments, "--results", str(path)]) == 0
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_refuses_unknown_claims_and_mixed_seeds(self, capsys):
        for arguments in (["no_such"], ["gradient_flow", "--first-seed", "200"]):
            with pytest.raises(SystemExit):
                main(arguments)
        said = capsys.readouterr().err
        assert "no claim no_such" in said and "give --results" in said


def test_import_needs_no_matplotlib():
    code = "import sys, bnlib.claims; bnlib.claims.claims(); assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
