"""The numbers of a claim as a table, and a reader's verdicts beside the ledger's."""

import re

import pytest

from bnlib.claims import ledger
from bnlib.claims.engine.judging import VERDICTS
from bnlib.claims.engine.tables import Numbers

ROWS = [
    {"without, 0.1": 90 + k, "with, 0.1": 93 + k, "without, 0.3": 80 + k, "alone": 2 * k}
    for k in (-1, 0, 1)
]


def test_mean_and_standard_error_of_each_number():
    numbers = Numbers(ROWS)
    assert numbers["without, 0.1"] == "90.0 ± 0.6" and list(numbers) == list(ROWS[0])


def test_a_line_a_setting_and_a_column_an_arm():
    lines = repr(Numbers(ROWS)).splitlines()
    assert lines[0].split() == ["without", "with", "alone"]
    assert lines[1].split() == ["0.1", "90.0", "±", "0.6", "93.0", "±", "0.6"]
    assert lines[2].split() == ["0.3", "80.0", "±", "0.6"]
    assert lines[1].index("93.0") > lines[0].index("without") + len("without")
    html = Numbers(ROWS)._repr_html_()
    assert html.count("<tr>") == 4 and "<td>93.0 ± 0.6</td>" in html


def test_another_part_of_the_name_as_the_column():
    lines = repr(Numbers(ROWS, column=-1)).splitlines()
    assert lines[0].split() == ["0.1", "0.3", "alone"]
    assert lines[1].startswith("without") and lines[2].startswith("with ")


def test_one_seed_has_no_standard_error():
    with pytest.raises(ValueError, match="at least two seeds, got 1"):
        Numbers(ROWS[:1])


@pytest.fixture(scope="module")
def few():
    return ledger()[["stable_rate", "noisy_bn", "landscape"]]


def cells(table):
    rows = re.findall("<tr>(.*?)</tr>", table._repr_html_())
    return [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_the_readers_verdict_stands_beside_the_ledgers(few):
    table = few.beside({"noisy_bn": "reproduces", "stable_rate": "undecided"})
    head, *rows = cells(table)
    assert head == ["claim", "yours", "the ledger's", "what was measured"]
    for row, (name, yours) in zip(
        rows, [("stable_rate", "undecided"), ("noisy_bn", "reproduces"), ("landscape", "—")],
        strict=True,
    ):  # fmt: skip
        assert row[1:3] == [f"<b>{yours}</b>", f"<b>{few[name].verdict}</b>"]
    said = repr(table)
    lines = [line for line in said.splitlines() if not line.startswith(" ")]
    assert [re.split("  +", line) for line in lines[1:]] == [
        ["stable_rate", "undecided", few["stable_rate"].verdict],
        ["noisy_bn", "reproduces", few["noisy_bn"].verdict],
        ["landscape", "—", few["landscape"].verdict],
    ]
    for entry in few.values():
        assert entry.sentence in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.parametrize("left_out", [{}, {"noisy_bn": ...}, {"noisy_bn": None}])
def test_a_claim_without_a_verdict_has_a_dash(few, left_out):
    assert [line[2] for line in few.beside(left_out).lines] == ["—"] * 3


@pytest.mark.parametrize("verdict", VERDICTS)
def test_right_and_wrong_look_alike(few, verdict):
    """It shows both verdicts and does not judge: only the verdict's own word differs."""
    row = cells(few.beside({"noisy_bn": verdict}))[2]
    other = cells(few.beside({"noisy_bn": "partly"}))[2]
    row[1] = row[1].replace(verdict, "partly")
    assert row == other


def test_an_unknown_claim_or_verdict_is_refused_with_those_there_are(few):
    with pytest.raises(KeyError, match=r"no claim 'noisy'.* stable_rate, noisy_bn, landscape"):
        few.beside({"noisy": "partly"})
    with pytest.raises(ValueError, match=r"for noisy_bn one of 'reproduces', 'partly', .*'true'"):
        few.beside({"noisy_bn": "true"})
