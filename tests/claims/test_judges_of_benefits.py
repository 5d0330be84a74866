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
            (REPRODUCES, (88, 88, 91), 0.2),
            (PARTLY, (88, 91, 94), 0.5),
            (NOT_HERE, (88, 91, 91), 0.2),
            (UNDECIDED, (88, 91, 92), 3),
        ],
    ),
    "steps_to_target": (
        (
            *("without, untuned", "without, rate", "without, rate and scale"),
            *("with, untuned", "with, rate", "with, rate and scale"),
        ),
        [
            (REPRODUCES, (6000, 900, 180, 110, 85, 70), 10),
            (PARTLY, (6000, 900, 80, 110, 85, 70), 5),
            (NOT_HERE, (110, 85, 70, 110, 85, 70), 5),
        ],
    ),
    "stable_rate": (
        ("without, strict", "without, mild", "with, strict", "with, mild"),
        [
            (REPRODUCES, (-0.5, -0.5, 0.5, 0.5), 0.1),
            (PARTLY, (-0.5, 0, 0.5, 0.1), 0.1),
            (NOT_HERE, (0, 0, 0, 0), 0.1),
        ],
    ),
    "initial_scales": (
        ("without, strict", "without, mild", "with, strict", "with, mild"),
        [
            (REPRODUCES, (1, 2, 8, 9), 0.5),
            (PARTLY, (1, 9, 8, 9), 0.5),
            (NOT_HERE, (8, 9, 8, 9), 0.5),
        ],
    ),
    "rate_scale_map": (
        ("without, share", "with, share"),
        [(REPRODUCES, (10, 60), 3), (NOT_HERE, (55, 60), 3), (UNDECIDED, (40, 62), 12)],
    ),
    "noise_or_dropout": (
        ("plain", "Dropout", "BN", "BN and Dropout", "BN, plain's rate"),
        [
            (REPRODUCES, (80, 82, 83, 83, 82), 0.3),
            (PARTLY, (80, 82, 83, 83, 80), 0.3),
            (PARTLY, (80, 82, 83, 85, 82), 0.3),
            (NOT_HERE, (80, 82, 83, 85, 80), 0.3),
            (UNDECIDED, (80, 82, 83, 83, 80.7), 2),
        ],
    ),
    "placement": (
        (
            *("relu before, best", "relu after, best", "sigmoid before, best"),
            *("sigmoid after, best", "relu before, large", "relu after, large"),
            *("sigmoid before, large", "sigmoid after, large"),
        ),
        [
            (REPRODUCES, (92, 90, 90, 88, 90, 90, 90, 90), 0.3),
            (PARTLY, (92, 92, 90, 91, 90, 90, 90, 10), 0.3),
            (NOT_HERE, (92, 92, 90, 91, 90, 92, 90, 90), 0.3),
        ],
    ),
    "step_cost": (
        ("dense", "CNN"),
        [(REPRODUCES, (25, 10), 5), (NOT_HERE, (3, 10), 5), (UNDECIDED, (10, 10), 5)],
    ),
    "overfitting_gap": (
        (
            *("without, train", "without, test", "without, gap when fitted"),
            *("with, train", "with, test", "with, gap when fitted"),
        ),
        [
            (REPRODUCES, (100, 85, 15, 100, 88, 12), 0.3),
            (PARTLY, (100, 85, 15, 100, 88, 15), 0.2),
            (PARTLY, (100, 85, 15, 100, 85, 12), 0.3),
            (NOT_HERE, (100, 85, 15, 100, 85, 15), 0.3),
            (UNDECIDED, (100, 85, 15, 100, 85, 14), 2),
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
