"""The judges of the advertised benefits, on rows made up for each verdict that they can give."""

import pytest

from bnlib import claims
from bnlib.claims.engine.judging import NOT_HERE, PARTLY, REPRODUCES, UNDECIDED

# claim -> the names of its numbers, and cases: verdict, means of the numbers, noise of the seeds
CASES = {
    "gradient_flow": (
        ("sigmoid without", "sigmoid with", "relu without", "relu with"),
        [
            (REPRODUCES, (-0.6, 0.01, 0, 0.01), 0.001),
            (PARTLY, (-0.6, 0.01, 0, 0.08), 0.001),
            (NOT_HERE, (-0.6, -0.6, 0, 0.08), 0.001),
        ],
    ),
    "best_against_best": (
        ("without", "with, same rate", "with, own rate"),
        [
            (REPRODUCES, (88, 88, 91), 0.5),
            (PARTLY, (88, 91, 94), 0.5),
            (NOT_HERE, (88, 91, 91), 0.5),
            (UNDECIDED, (88, 91, 92), 3),
        ],
    ),
}


@pytest.mark.parametrize(
    "name, verdict, means, noise",
    [(name, *case) for name, (_, cases) in CASES.items() for case in cases],
)
def test_judge_gives_the_verdict(name, verdict, means, noise, made_rows):
    rows = made_rows(dict(zip(CASES[name][0], means, strict=True)), noise)
    assert claims.claims()[name].decide(rows).verdict == verdict
