"""Every claim, on rows made up for each verdict that it can give."""

from fnmatch import fnmatch

import numpy as np
import pytest

from bnlib import claims
from bnlib.claims.engine import NOT_HERE, PARTLY, REPRODUCES, UNDECIDED
from bnlib.claims.engine.results import Results
from bnlib.claims.gradient_explosion import THEORY


def growths(linear, relu):
    factor = {"linear": linear, "relu": relu}
    return {f"{kind}, {n}": theory * factor[kind] for (kind, n), theory in THEORY.items()}


# claim -> the noise of the seeds, the means of the numbers, and cases: a verdict and what is other.
# A name may be a pattern; the last that fits counts.
CASES = {
    "averages_lag": (0.1, {"*": 90, "0.*, late": 50}, [
        (REPRODUCES, {"0.1, early": 85, "0.01, early": 70, "0.001, early": 60}),
        (PARTLY, {"0.01, early": 70, "0.001, early": 60}),
        (NOT_HERE, {"0.001, early": 89})]),
    "batch_size": (0.3, {"*": 90, "?N, 32": 91}, [
        (REPRODUCES, {"BN, 2": 60}),
        (PARTLY, {"BN, 2": 60, "LN, 2": 70}),
        (PARTLY, {"BN, 2": 60, "GN, 2": 70}),
        (NOT_HERE, {"LN, 2": 70})]),
    "best_against_best": (0.2, {"*": 88}, [
        (REPRODUCES, {"with, own rate": 91}),
        (PARTLY, {"with, same rate": 91, "with, own rate": 94}),
        (NOT_HERE, {"with, *": 91})]),
    "cnn_accuracy": (0.1, {"*": 96}, [
        (REPRODUCES, {"with, *": 97}),
        (PARTLY, {"with, 0.01": 97, "with, 0.1": 94.5}),
        (NOT_HERE, {"with, 0.01": 96.2, "with, 0.1": 94.5})]),
    "cnn_batch_of_one": (1, {"*": 80, "with, alone": 90}, [
        (REPRODUCES, {"with, * rate": 85}),
        (PARTLY, {"with, same rate": 85}),
        (NOT_HERE, {"with, running": 70})]),
    "cnn_last_layer": (0.1, {"*": 97, "with, length of *": 95, "*, length": 10}, [
        (REPRODUCES, {"with, length": 20, "*, length of *": 97, "*, length of with": 95}),
        (PARTLY, {"with, length": 20, "with, length of without": 97}),
        (NOT_HERE, {"with, length": 20, "without, length of with": 95}),
        (NOT_HERE, {"with, length": 9, "*, length of *": 97, "*, length of with": 95})]),
    "cnn_running_averages": (0.1, {"*": 95}, [
        (REPRODUCES, {"population*": 96}),
        (PARTLY, {"population, 0.1": 96}),
        (NOT_HERE, {"population*": 95.1})]),
    "conv_batch_of_two": (0.3, {"*": 90}, [
        (REPRODUCES, {"none, 2": 80}),
        (PARTLY, {"none, 2": 80, "BN, 2": 80}),
        (NOT_HERE, {"BN, 2": 80}),
        (UNDECIDED, {"BN, 2": 80}, 12)]),
    "cumulative_average": (0.1, {"*": 85}, [
        (REPRODUCES, {"None, early": 89, "None, late": 86}),
        (PARTLY, {"None, early": 89, "None, late": 84}),
        (NOT_HERE, {"None, late": 86})]),
    "decay_gamma_beta": (0.1, {"*": 87}, [
        (REPRODUCES, {"not *": 88}),
        (PARTLY, {"not *, 0.01": 88}),
        (NOT_HERE, {"not *": 86})]),  # worse is not better
    "dropout_before_bn": (0.02, {"*": 93, "*ratio": 0.9}, [
        (REPRODUCES, {"in front, *ratio": 0.5, "in front, *running": 85}),
        (PARTLY, {"in front, *ratio": 0.5}),
        (PARTLY, {"in front, 0.8, running": 85}),
        (NOT_HERE, {})]),
    "figure_1_accuracy": (0.1, {"*": 90}, [
        (REPRODUCES, {"with, *": 94}),
        (PARTLY, {"with, *": 90.5, "with, same *": 94}),
        (NOT_HERE, {"with, *": 90.5})]),
    "figure_1_percentiles": (0.01, {"*": 1}, [
        (REPRODUCES, {"with, *": 0.5, "*mean": 1}),
        (PARTLY, {"with, same *": 0.5}),
        (NOT_HERE, {"with, own *": 0.5, "with, *, 50": 0.5})]),
    "frozen_fine_tuning": (0.3, {"*": 80}, [
        (REPRODUCES, {"frozen*": 84}),
        (PARTLY, {"frozen, 2": 84}),
        (NOT_HERE, {})]),
    "gamma_zero_residual": (0.3, {"*": 88, "one, 1, late": 70}, [
        (REPRODUCES, {"zero*": 91}),
        (PARTLY, {"zero, 1, early": 91}),
        (NOT_HERE, {})]),
    "ghost_batches": (0.1, {"*": 80}, [
        (REPRODUCES, {"ghost*": 81}),
        (PARTLY, {"ghost, 0.3": 81}),
        (NOT_HERE, {})]),
    "gradient_explosion": (0.001, {}, [
        (REPRODUCES, growths(1.01, 0.99)),
        (PARTLY, growths(1.01, 0.95)),
        (NOT_HERE, growths(1.04, 0.95))]),
    "gradient_flow": (0.001, {"sigmoid*": -0.6, "relu*": 0.01}, [
        (REPRODUCES, {"sigmoid with": 0.01}),
        (PARTLY, {"sigmoid with": 0.01, "relu with": 0.08}),
        (NOT_HERE, {"relu with": 0.08})]),
    "initial_scales": (0.5, {"*strict": 4, "*mild": 9}, [
        (REPRODUCES, {"without*": 1}),
        (PARTLY, {"without, strict": 1}),
        (NOT_HERE, {})]),
    "landscape": (0.01, {"*": 0, "with, smoothness*": -1}, [
        (REPRODUCES, {"with, [rt]*": -0.5}),
        (PARTLY, {"with, turn, 0.1": -0.5}),
        (NOT_HERE, {})]),
    "missing_variance_path": (0.2, {"*": 92}, [
        (REPRODUCES, {"*variance*": 90}),
        (PARTLY, {"relu, variance, large": 89}),
        (NOT_HERE, {"*variance*": 92.3})]),
    "momentum_flipped": (0.3, {"*": 80}, [
        (REPRODUCES, {"0.9*": 76}),
        (PARTLY, {"0.9, 4": 76}),
        (NOT_HERE, {})]),
    "noise_or_dropout": (0.3, {"plain": 80, "Dropout": 82, "BN*": 83, "BN, plain's rate": 80}, [
        (REPRODUCES, {"BN, plain's rate": 82}),
        (PARTLY, {}),
        (PARTLY, {"BN, plain's rate": 82, "BN and Dropout": 85}),
        (NOT_HERE, {"BN and Dropout": 85}),
        (UNDECIDED, {"BN, plain's rate": 80.7}, 2)]),
    "noisy_bn": (0.01, {"*": 20, "*movement": 0.1, "noisy, movement": 0.5, "BN, accuracy": 90}, [
        (REPRODUCES, {"noisy, accuracy": 89}),
        (PARTLY, {"noisy, accuracy": 80}),
        (NOT_HERE, {}),
        (UNDECIDED, {"noisy, accuracy": 89, "noisy, movement": 0.05})]),
    "only_gamma_beta": (0.5, {"gamma*": 80, "two*": 80, "last*": 90, "all": 94}, [
        (REPRODUCES, {"two*": 74, "last*": 58}),
        (PARTLY, {"two*": 74}),
        (PARTLY, {"last*": 58}),
        (NOT_HERE, {})]),
    "overfitting_gap": (0.2, {"*train": 100, "*test": 85, "*gap*": 15}, [
        (REPRODUCES, {"with, test": 88, "with, gap*": 12}),
        (PARTLY, {"with, test": 88}),
        (PARTLY, {"with, gap*": 12}),
        (NOT_HERE, {})]),
    "placement": (0.3, {"*": 90}, [
        (REPRODUCES, {"*before, best": 92}),
        (PARTLY, {"sigmoid after, large": 10}),
        (PARTLY, {"relu before, best": 92}),
        (NOT_HERE, {"relu after, large": 92})]),
    "population_statistics": (0.1, {"*": 95}, [
        (REPRODUCES, {"population*": 96}),
        (PARTLY, {"population, 1": 96}),
        (NOT_HERE, {"population*": 95.1})]),
    "rank_collapse": (0.2, {"*": 7}, [(REPRODUCES, {"without": 1}), (NOT_HERE, {})]),
    "rate_scale_map": (3, {"*": 55}, [(REPRODUCES, {"without, share": 10}), (NOT_HERE, {})]),
    "renorm_small_batches": (0.3, {"*": 80}, [
        (REPRODUCES, {"renorm*": 89}),
        (PARTLY, {"renorm, 2": 89}),
        (NOT_HERE, {})]),
    "shift_after_bn": (0.001, {"*": 1}, [
        (REPRODUCES, {"*with, after*": 0.1, "*, 1": 1}),
        (PARTLY, {"raw, with, after*": 0.1}),
        (NOT_HERE, {"*with, *": 0.5})]),
    "shift_before_bn": (0.001, {"*": 1}, [
        (REPRODUCES, {"*with, before*": 0.3, "*, 1": 1}),
        (PARTLY, {"raw, with, before*": 0.3}),
        (NOT_HERE, {"*with, *": 0.8})]),
    "shift_and_accuracy": (0.2, {"*": 90}, [
        (REPRODUCES, {"*with, accuracy": 93}),
        (PARTLY, {"raw, with, accuracy": 93}),
        (NOT_HERE, {"raw, with, accuracy": 90.3})]),
    "smoothness": (0.01, {"*": 0, "with, [rt]*": -1}, [
        (REPRODUCES, {"with, smoothness*": -0.5}),
        (PARTLY, {"with, smoothness, 0.1": -0.5}),
        (NOT_HERE, {})]),
    "sorted_batches": (1, {"running": 95, "mixed": 92, "sorted": 20, "alone": 10}, [
        (REPRODUCES, {}), (PARTLY, {"mixed": 75}), (NOT_HERE, {"sorted": 91})]),
    "stable_rate": (0.1, {"*": 0}, [
        (REPRODUCES, {"with, *": 1}),
        (PARTLY, {"with, strict": 1}),
        (NOT_HERE, {})]),
    "step_cost": (3, {"*": 3}, [
        (REPRODUCES, {"dense": 25}),
        (NOT_HERE, {"CNN": 25}),
        (UNDECIDED, {"dense": 10})]),
    "steps_to_target": (5, {"*": 90}, [
        (REPRODUCES, {"without*": 900}),
        (PARTLY, {"without, rate": 900}),
        (NOT_HERE, {})]),
    "wrong_backward": (2, {"none": 11, "right": 88, "constants": 13}, [
        (REPRODUCES, {"constants": 80}), (PARTLY, {"constants": 40}), (NOT_HERE, {})]),
    "wrong_backward_cost": (0.3, {"*": 92, "*constants, large": 70}, [
        (REPRODUCES, {"*constants": 88}),
        (PARTLY, {"relu, constants": 88}),
        (NOT_HERE, {"*none": 80})]),
}  # fmt: skip


def made_up(name, means, noise):
    """Twenty rows with just these means; the noise of the numbers is independent."""
    rng, columns = np.random.default_rng(0), {}
    for number in next(iter(Results().rows(name).values())):
        [*_, mean] = (value for pattern, value in means.items() if fnmatch(number, pattern))
        z = rng.standard_normal(20)
        columns[number] = mean + noise * (z - z.mean()) / z.std()
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


@pytest.mark.parametrize(
    "name, verdict, means, noise",
    [
        (name, verdict, base | changes, *(own_noise or [noise]))
        for name, (noise, base, cases) in CASES.items()
        for verdict, changes, *own_noise in cases
    ],
)
def test_judge_gives_the_verdict(name, verdict, means, noise):
    assert claims.claims()[name].decide(made_up(name, means, noise)).verdict == verdict


def test_every_verdict_of_every_claim_is_tried():
    assert CASES.keys() == claims.claims().keys()
    for name, (_, _, cases) in CASES.items():
        partly = {PARTLY} if len(claims.claims()[name].parts) > 1 else set()
        assert {case[0] for case in cases} >= {REPRODUCES, NOT_HERE} | partly
