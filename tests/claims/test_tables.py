"""The numbers of a claim as a table."""

import pytest

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
