"""Notebook 02: how far the inputs of a layer move while the network trains.

"Internal covariate shift" is defined in Ioffe & Szegedy 2015 (arXiv:1502.03167), section 2, in
words. The two numbers here are one way to measure it.
"""

from __future__ import annotations

import numpy as np

from .engine import Exercise, Probe


def shift(mean, std, floor):
    """How far the inputs of a layer have moved since step 0, in two measures.

    mean, std: arrays (T, D): of each of D units, over the same images, at T steps. Row 0 is step 0.
    floor: number > 0, in the units of the axis. A unit's spread counts as at least this much.
    Returns moved and relative, arrays (T,), each an average over the units:
    moved: the distance between a unit's mean and its mean at step 0;
    relative: that distance in units of the unit's spread, which is its std at step 0.
    """
    distance = np.abs(mean - mean[0])
    spread = np.maximum(std[0], floor)  # a dead unit's std is 0
    moved = np.mean(distance, axis=1)
    relative = np.mean(distance / spread, axis=1)
    return moved, relative


def _one_by_one(mean, std, floor):
    units, moved = range(mean.shape[1]), [np.abs(row - mean[0]) for row in mean]
    relative = [[row[k] / max(std[0, k], floor) for k in units] for row in moved]
    return np.array([sum(row) / len(row) for row in moved]), np.mean(relative, axis=1)


# ---------------------------------------------------------------- probes


def _run(rng, steps, units, scale=1.0):
    """Means that wander and stds that change, unequal between the units."""
    start = scale * rng.uniform(-2, 2, units)
    drift = scale * rng.uniform(-1.5, 1.5, (steps, units)) + 0.5 * scale
    drift[0] = 0
    std = scale * np.exp(rng.uniform(-1.5, 1.0, (steps, units)))
    return start + drift, std


SHAPES = (
    *((4, 4), (2, 5), (7, 3), (31, 8), (3, 40), (6, 6), (1, 5), (5, 1), (2, 2), (12, 11)),
    *((60, 3), (9, 20), (1, 1), (16, 16), (4, 64), (8, 2), (3, 7), (20, 5)),
)


def _probes() -> list[Probe]:
    rng = np.random.default_rng(2)
    mean, std = _run(rng, 5, 6)
    std[0, 4], std[0, 1] = 0.0, 0.02  # dead, and nearly dead
    spread = std.copy()
    spread[0] = np.maximum(spread[0], 0.3)
    there_and_back = mean.copy()
    there_and_back[-1] = mean[0]

    def probe(name, mean, std, floor=0.1, **more):
        return Probe(f"{name} (mean of shape {mean.shape})", dict(mean=mean, std=std, floor=floor),
                     **more)  # fmt: skip

    def changed(name, mean=mean, std=std, floor=0.1, **more):
        return probe(f"the designed run with {name}", mean, std, floor, **more)

    found = [
        probe("the designed run", mean, std),
        changed("no unit that is dead", std=spread),
        changed(
            "its arrays in column-major memory", np.asfortranarray(mean), np.asfortranarray(std)
        ),
        changed("a floor of 0.5", floor=0.5),
        changed("a floor of 20, above every std", floor=20.0),
        changed("a floor of 1", floor=1.0),
        changed("a floor of 1e-3", floor=1e-3),
        changed("a floor of 1e-6", floor=1e-6, tol=1e-12),
        changed("all units dead at step 0", std=np.vstack([0 * std[:1], std[1:]])),
        changed("stds that never change", std=np.tile(spread[0], (5, 1))),
        changed("means that never change", np.tile(mean[0], (5, 1))),
        changed("means that start at 0", mean - mean[0]),
        changed("means that end where they began", there_and_back),
        changed("means that only fall", -np.sort(-mean, axis=0)),
        changed("means near -1,000", mean - 1000.0),
        changed("tiny numbers", 1e-4 * mean, 1e-4 * std, 1e-5, tol=1e-14),
        changed("huge numbers", 1e5 * mean, 1e5 * std, 1e4),
        changed("another std after step 0", std=np.vstack([std[:1], 7 * std[1:][::-1]])),
        changed("its units in another order", mean[:, ::-1].copy(), std[:, ::-1].copy()),
        changed("its later steps in another order", mean[[0, 4, 3, 2, 1]], std[[0, 4, 3, 2, 1]]),
        changed("one unit that runs away", mean + np.outer(np.arange(5), [0, 0, 300, 0, 0, 0])),
        changed("float32", mean.astype(np.float32), std.astype(np.float32), tol=1e-4),
    ]
    for i, shape in enumerate(SHAPES):
        means, stds = _run(rng, *shape, scale=float(rng.uniform(0.3, 4.0)))
        if i % 3 == 0:
            stds[0, -1] = 0.0
        found.append(probe(f"random run {i + 1}", means, stds, (0.1, 0.02, 0.4, 1.5)[i % 4]))
    return found


# ---------------------------------------------------------------- properties


BOTH = "moved relative"


def starts_at_zero(case):
    said = (
        case.differ(
            getattr(case.got, name)[0],
            0.0,
            f"At step 0 nothing has moved yet, but {name}[0] is {{got}}, expected {{want}}.",
        )
        for name in BOTH.split()
    )
    return next(filter(None, said), None)


def steps_stand_alone(case):
    """The row of a step does not change what is said of another step."""
    mean, std = case.given.mean.copy(), case.given.std.copy()
    if len(mean) < 3:
        return None
    mean[1] += 1.0
    std[1] *= 3.0
    return case.stays(
        BOTH,
        "When the unit is elsewhere at step 1, {name} at another step changes from {want} to {got} "
        "(expected: it stays). Between which two steps is the distance?",
        np.r_[0, 2 : len(mean)],
        mean=mean,
        std=std,
    )


def direction_does_not_matter(case):
    """A unit that moves down counts as one that moves up by as much."""
    mean = case.given.mean.copy()
    mean[:, 0] = 2 * mean[0, 0] - mean[:, 0]
    return case.stays(
        BOTH,
        "When unit 0 moves as far, but the other way, {name} changes from {want} to {got} "
        "(expected: it stays). May units that move in opposite directions cancel?",
        mean=mean,
    )


def later_spread_does_not_matter(case):
    std = case.given.std.copy()
    std[1:] = 2 * std[1:] + 1.0
    return case.stays(
        BOTH,
        "When the stds after step 0 change, {name} changes from {want} to {got} (expected: it "
        "stays). At which step is the spread taken?",
        std=std,
    )


def twice_the_units(case):
    """The same units listed twice give the same averages."""
    return case.stays(
        BOTH,
        "When every unit is listed twice, {name} changes from {want} to {got} (expected: it stays, "
        "being an average).",
        **{k: np.hstack([getattr(case.given, k)] * 2) for k in ("mean", "std")},
    )


def one_unit(case):
    """Of a unit alone: the distance, and the distance over its spread."""
    mean, std, floor = case.given.mean, case.given.std[0], case.given.floor
    for k in range(mean.shape[1]):
        got = case.call(mean=mean[:, [k]], std=case.given.std[:, [k]])
        distance = np.abs(mean[-1, k] - mean[0, k])
        said = case.differ(
            got.moved[-1],
            distance,
            f"Unit {k} alone goes from {mean[0, k]:.3g} to {mean[-1, k]:.3g}, and moved says "
            "{got}, expected {want}.",
        ) or case.differ(
            got.relative[-1],
            distance / max(std[k], floor),
            f"Unit {k} alone moves by {distance:.3g}, its std at step 0 is {std[k]:.3g}, the floor "
            f"{floor:g}; relative says {{got}}, expected {{want}}.",
        )
        if said:
            return said
    return None


shift = Exercise(
    shift,
    reference=_one_by_one,
    returns=["moved", "relative"],
    probes=_probes,
    properties=(
        starts_at_zero,
        direction_does_not_matter,
        steps_stand_alone,
        later_spread_does_not_matter,
        one_unit,
        twice_the_units,
    ),
)
