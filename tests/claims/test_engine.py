"""The rules of the ledger, on claims made up for the purpose."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bnlib import claims
from bnlib.claims.__main__ import main
from bnlib.claims.engine import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    UNDECIDED,
    Claim,
    Difference,
    EdgeOfGrid,
    best_inside,
    last_that_works,
    measuring,
    minus,
    overall,
    results,
    tuned_rates,
)
from bnlib.claims.engine.claim import TUNING_SEEDS
from bnlib.claims.engine.display import NOT_MEASURED, Entry, Ledger
from bnlib.claims.engine.judging import VERDICTS, filled, plus_minus
from bnlib.claims.engine.results import Results

calls = []


def experiment(seed, size, lr=1.0):
    calls.append(seed)
    return {"with": 90 + lr * np.random.default_rng(seed).normal(3, 1), "without": 90}


CLAIM = Claim(
    id="made_up",
    sentence="A gain.",
    source="None, section 1",
    paper="2",
    experiment=experiment,
    parts={"gain": minus("with", "without")},
    says="The gain is [gain].",
    criterion="Reproduces if it is better.",
    conclude="Nothing.",
    unit="points",
    worth=1.0,
)


def gains(*values):
    """Rows with these gains."""
    return [{"with": 90 + value, "without": 90} for value in values]


def run_at(arm, lr, seed):
    return -((lr - 2) ** 2) + seed / 1e6


RATES = (1, 2, 3)
TUNED = replace(
    CLAIM,
    id="tuned",
    experiment=lambda seed, size, lr_a_b: experiment(seed, size, lr_a_b),
    **tuned_rates(run_at, ["a b"], RATES),
)


@pytest.fixture
def stored(tmp_path):
    calls.clear()
    return Results(tmp_path / "results.json")


def run(claim, stored, **options):
    measuring.run([claim], stored, progress=False, **options)
    return stored.rows(claim.id)


class TestJudging:
    def test_standard_error_is_that_of_a_mean(self):
        d = Difference.of([1.0, 2.0, 3.0, 4.0], worth=1)
        assert (d.mean, d.error) == pytest.approx((2.5, np.sqrt(5 / 3) / 2))

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

    def test_names_in_brackets_become_numbers(self):
        rows = gains(3, 5, 4)
        says = "[gain]; [gain:.1f]; [with]; [with:.0f] %"
        found = {"gain": Difference(4, 0.2, 1)}
        assert filled(says, rows, found) == "+4.00 ± 0.20; 4.0; 94.0 ± 0.6; 94 %"

    def test_a_verdict_that_resamples_do_not_repeat_is_undecided(self):
        steady = gains(*[2.9, 3.1] * 5)
        assert CLAIM.decide(steady) == replace(CLAIM.judge(steady), repeated=1.0)
        one_seed = gains(*[1.9] * 6 + [0.4] * 4)  # 1.3 +- 0.25, just above 1
        assert CLAIM.judge(one_seed).verdict == REPRODUCES
        decided = CLAIM.decide(one_seed)
        assert decided.verdict == UNDECIDED and 0.5 < decided.repeated < 0.95
        assert 'give "reproduces"' in decided.sentence

    def test_a_claim_in_parts(self):
        yes, no, unclear = Difference(3, 0.1, 1), Difference(0, 0.1, 1), Difference(0.9, 0.3, 1)
        assert overall(yes, yes) == REPRODUCES
        assert overall(yes, no) == overall(unclear, yes) == overall(yes, also=False) == PARTLY
        assert overall(no, no) == NOT_HERE
        assert overall(no, unclear) == overall(unclear, also=True) == UNDECIDED

    def test_a_part_may_have_a_worth_of_its_own(self):
        assert CLAIM.judge(gains(0.5, 0.51)).verdict == NOT_HERE
        assert replace(CLAIM, worths={"gain": 0.1}).judge(gains(0.5, 0.51)).verdict == REPRODUCES

    def test_the_effect_is_the_first_part_or_a_mean_of_some(self):
        parts = {name: lambda row, k=k: k * row["with"] for k, name in enumerate("abc", start=1)}
        assert replace(CLAIM, parts=parts).effect({"with": 2}) == 2
        assert replace(CLAIM, parts=parts, effect_of=["b", "c"]).effect({"with": 2}) == 5

    @pytest.mark.parametrize("at", [(1, 1), (0, 1), (1, 0), (1, 2)])
    def test_a_best_value_at_an_edge_of_any_axis_is_an_error(self, at):
        grid, scores = {"lr": (0.01, 0.1, 1.0), "scale": (1, 2, 4)}, np.zeros((3, 3))
        scores[at] = 1
        if at == (1, 1):
            assert best_inside(grid, scores) == {"lr": 0.1, "scale": 2}
        else:
            edge = "lr" if at[0] != 1 else "scale"
            with pytest.raises(EdgeOfGrid, match=f"best {edge}, .* extend the grid"):
                best_inside(grid, scores)

    def test_the_limit_lies_inside_its_grid(self):
        assert last_that_works((1, 2, 3, 4), (True, True, False, True)) == 2
        assert last_that_works((1, 2, 3), (False, True, False)) == 2
        for works in ((True, True, True), (False, False, False)):
            with pytest.raises(EdgeOfGrid):
                last_that_works((1, 2, 3), works)


class TestMeasuring:
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
        with pytest.raises(ValueError, match="--only-tune"):
            stored.tuned(TUNED)
        assert run(TUNED, stored, only_tune=True) == {} and calls == []
        rows = run(TUNED, stored, seeds=2)
        assert stored.tuned(TUNED) == {"lr_a_b": 2}
        assert set(stored.rows("tuned", "tune")) == set(TUNING_SEEDS)
        assert rows[100]["with"] == pytest.approx(experiment(100, "full", 2)["with"], rel=1e-4)

    def test_a_failed_claim_does_not_stop_the_others(self, stored):
        edge = replace(TUNED, id="edge", **tuned_rates(lambda arm, lr, seed: -lr, ["a b"], RATES))
        with pytest.raises(EdgeOfGrid) as caught:
            measuring.run([edge, CLAIM], stored, progress=False)
        assert "in the claim edge" in caught.value.__notes__[0]
        assert stored.rows("edge") == {} and len(stored.rows("made_up")) == 10

    def test_numbers_are_finite_and_rounded(self):
        broken = replace(CLAIM, experiment=lambda seed, size: {"with": np.nan})
        with pytest.raises(ValueError, match="expected finite numbers, seed 7 gave"):
            measuring.measure(broken, "experiment", 7)
        third = replace(CLAIM, experiment=lambda seed, size: {"with": np.float64(1 / 3)})
        assert measuring.measure(third, "experiment", 7) == {"with": 0.33333}
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
            stored.add("made_up", "experiment", 101, {"with": 1.0, "without": 2.0})
        assert stored.path.read_text() == before

    @pytest.mark.parametrize("text", ["<<<<<<< HEAD", "[]", '{"a": 1}', '{"a": {"experiment": 1}}'])
    def test_a_file_of_another_form_is_named(self, tmp_path, text):
        path = tmp_path / "results.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"expected results of .* in results\.json"):
            Results(path)


class TestDisplay:
    @pytest.fixture
    def entry(self, stored):
        return Entry(CLAIM, run(CLAIM, stored), {"lr": 0.3})

    def test_verdict_follows_from_the_numbers(self, entry):
        decided = CLAIM.decide(list(entry.rows.values()))
        assert (entry.verdict, entry.sentence) == (REPRODUCES, decided.sentence)
        less = {seed: row | {"with": row["with"] - 4} for seed, row in entry.rows.items()}
        assert replace(entry, rows=less).verdict == NOT_HERE
        assert replace(entry, rows={}).verdict == NOT_MEASURED

    def test_card_and_table_hold_what_counts(self, entry):
        for text in (repr(entry), entry._repr_html_()):
            for part in (entry.sentence, "None, section 1", "Nothing.", "10, from 100 to 109"):
                assert part in re.sub(r"\s+", " ", text)
            assert "Worth having: 1 points" in re.sub(r"\s+", " ", text)
        unmeasured = replace(entry, rows={})
        for text in (repr(unmeasured), unmeasured._repr_html_()):
            assert "Nothing." not in text and "Nothing yet." in text
        table = Ledger({"a": entry, "b": unmeasured})
        assert f"{entry.effect}" in repr(table) and NOT_MEASURED in repr(table)
        assert table._repr_html_().count("<tr>") == 3
        assert list(table[["b", "a"]]) == ["b", "a"]
        with pytest.raises(KeyError, match="no claim 'c'; there are a, b"):
            table["c"]

    def test_contradiction(self):
        def rows(mean):
            return gains(*[mean - 0.1, mean + 0.1] * 2)

        assert CLAIM.contradicts(rows(0.1), rows(3)) is None
        assert "made_up" in CLAIM.contradicts(rows(-0.1), rows(3))
        assert CLAIM.contradicts(rows(3), rows(0.1)) and CLAIM.contradicts(rows(3), rows(-3))
        assert CLAIM.contradicts(rows(0.5), rows(0.1)) is None


class TestBeside:
    @pytest.fixture
    def few(self):
        return claims.ledger()[["stable_rate", "noisy_bn", "landscape"]]

    @staticmethod
    def cells(table):
        rows = re.findall("<tr>(.*?)</tr>", table._repr_html_())
        return [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]

    def test_the_readers_verdict_stands_beside_the_ledgers(self, few):
        table = few.beside({"landscape": ..., "noisy_bn": "partly", "stable_rate": "undecided"})
        expected = [
            (name, yours, few[name].verdict)
            for name, yours in zip(few, ("undecided", "partly", "—"))
        ]
        head, *rows = self.cells(table)
        assert head == ["claim", "yours", "the ledger's", "what was measured"]
        for row, (_, yours, ledgers) in zip(rows, expected, strict=True):
            assert row[1:3] == [f"<b>{yours}</b>", f"<b>{ledgers}</b>"]
        lines = [line for line in repr(table).splitlines() if not line.startswith(" ")]
        assert [tuple(re.split("  +", line)) for line in lines[1:]] == expected
        for entry in few.values():
            assert entry.sentence in " ".join(repr(table).split())
        assert max(map(len, repr(table).splitlines())) <= 100
        for left_out in ({}, {"noisy_bn": None}):
            assert [row[1] for row in self.cells(few.beside(left_out))[1:]] == ["<b>—</b>"] * 3

    def test_right_and_wrong_look_alike(self, few):
        """It shows both verdicts and does not judge: only the verdict's own word differs."""
        rows = [self.cells(few.beside({"noisy_bn": verdict}))[2] for verdict in VERDICTS]
        assert [row.pop(1) for row in rows] == [f"<b>{verdict}</b>" for verdict in VERDICTS]
        assert all(row == rows[0] for row in rows)

    def test_an_unknown_claim_or_verdict_is_refused_with_those_there_are(self, few):
        with pytest.raises(KeyError, match=r"no claim 'noisy'.* stable_rate, noisy_bn, landscape"):
            few.beside({"noisy": "partly"})
        with pytest.raises(ValueError, match=r"for noisy_bn one of 'reproduces', .*'true'"):
            few.beside({"noisy_bn": "true"})


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
            arguments = ["rank_collapse", "gradient_flow", "--seeds", "2", "--jobs", jobs]
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
