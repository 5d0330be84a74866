"""The Jacobian is that of the library, and JacobianExplorer and ProjectionExplorer show it."""

import numpy as np
import pytest

from bnlib.figures.format import number
from bnlib.functional import batch_norm, batch_norm_backward
from bnlib.widgets import JacobianExplorer, ProjectionExplorer
from bnlib.widgets.jacobian import DIRECTIONS, NUMBERS, bn_jacobian


@pytest.fixture(scope="module")
def explorer():
    return JacobianExplorer()


@pytest.fixture(scope="module")
def space():
    return ProjectionExplorer()


def put(widget, **values):
    for name, value in values.items():
        widget.controls[name].value = value
    return widget


# --- the matrix -----------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-5, 0.1, 10.0])
@pytest.mark.parametrize("N", [2, 3, 7])
def test_its_columns_are_what_the_backward_pass_makes_of_unit_vectors(N, eps):
    x = np.random.default_rng(N).normal(3, 2, N)
    # One feature a unit vector: the same x in every column, column k of dy is e_k.
    _, cache = batch_norm(np.tile(x[:, None], N), np.ones(N), np.zeros(N), eps)
    dx, _, _ = batch_norm_backward(np.eye(N), cache)
    factor, P, _ = bn_jacobian(x, eps)
    np.testing.assert_allclose(factor * P, dx, atol=1e-13)


@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_it_removes_1_and_shrinks_xhat_to_its_share(eps):
    x = np.random.default_rng(2).normal(size=5)
    _, P, share = bn_jacobian(x, eps)
    deviations = x - x.mean()
    np.testing.assert_allclose(P @ deviations, share * deviations, atol=1e-15)
    np.testing.assert_allclose(P @ np.ones(5), 0, atol=1e-15)
    assert share == pytest.approx(eps / (x.var() + eps))
    assert np.trace(P) == pytest.approx(3 + share)  # of 5 directions


def test_what_has_no_jacobian_is_refused():
    with pytest.raises(ValueError, match="constant over the batch"):
        bn_jacobian([1.0, 1.0], 0.0)
    with pytest.raises(ValueError, match=r"got \(2, 2\)"):
        bn_jacobian(np.eye(2), 0.1)
    assert bn_jacobian([1.0, 1.0], 0.25)[0] == 2  # with eps it has one
    for n, said in ((33, "N <= 32, got 33"), (1, "N >= 2, .*, got 1"), (2.5, "N >= 2, .* got 2.5")):
        with pytest.raises(ValueError, match=f"JacobianExplorer expected {said}"):
            JacobianExplorer(n)


# --- the heat map ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        *(dict(N=N) for N in (2, 3, 8, 16)),
        *(dict(N=4, scale=0.1, eps=eps) for eps in (0.0, 0.1)),
        dict(N=8, scale=1.0, eps=1e-5, first=-6.0),
    ],
    ids=str,
)
def test_the_picture_is_the_jacobian_of_the_batch_shown(explorer, values):
    put(explorer, **values)
    at = explorer.values()
    x = explorer.batch(at["N"], at["first"], at["scale"])
    factor, P, share = bn_jacobian(x, at["eps"])
    np.testing.assert_array_equal(explorer.heat.get_array(), P)
    assert f"is {number(factor)} times" in explorer.sentence
    assert explorer.bars[0].get_width() == 0
    assert explorer.bars[1].get_width() == share
    assert explorer.bars[2].get_width() == (at["N"] > 2)
    shown = [text for text in explorer.numbers if text.get_visible()]
    assert len(shown) == (at["N"] ** 2 if at["N"] <= NUMBERS else 0)
    for text, value in zip(shown, P.ravel(), strict=False):
        assert float(text.get_text()) == pytest.approx(value, abs=0.0051)
    assert explorer.moved.get_xdata()[0] * at["scale"] == pytest.approx(x[0])
    np.testing.assert_allclose(explorer.points.get_xdata() * at["scale"], x[1:])
    assert explorer.error is None
    assert ("there is no other direction" in explorer.sentence) == (at["N"] == 2)


def test_blitting_leaves_nothing_behind(explorer):
    for N in (8, 32, 3):  # the larger matrices have other numbers
        put(explorer, N=N)
    blitted = explorer.png
    explorer.rebuild()
    assert explorer.png == blitted


# --- the projection in space ----------------------------------------------------------------------


def tip(space, name):
    shaft, dot = space.arrows[name]
    np.testing.assert_array_equal(
        [shaft.get_xdata()[1], shaft.get_ydata()[1]], np.ravel(dot.get_data())
    )
    return np.ravel(dot.get_data())


@pytest.mark.parametrize("turn", [-65, 180])
def test_the_arrow_is_the_projection_seen_from_where_one_stands(space, turn):
    put(space, turn=turn, third=2.0, eps=0.1, dy="a general dy")
    see = space.camera(turn)
    P = bn_jacobian([-1.0, 1.0, 2.0], 0.1)[1]
    np.testing.assert_allclose(tip(space, "P dy"), see(P @ [1.7, 0.9, -0.5]), atol=1e-12)
    assert tip(space, "1")[0] == pytest.approx(0)  # up, from everywhere
    assert tip(space, "1")[1] > 0
    right, up = see(np.eye(3)).T
    np.testing.assert_allclose([right @ right, up @ up, right @ up], [1, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    "dy, eps, part",
    [
        ("all equal", 0.0, 0.0),
        ("along x̂", 0.0, 0.0),
        ("along x̂", 1.0, 1 / (14 / 9 + 1)),  # eps / (variance of (-1, 1, 2) + eps)
        ("at right angles to both", 1.0, 1.0),
    ],
)
def test_each_direction_keeps_its_part(space, dy, eps, part):
    put(space, turn=30, third=2.0, eps=eps, dy=dy)
    np.testing.assert_allclose(tip(space, "P dy"), part * tip(space, "dy"), atol=1e-12)
    before, after = (
        np.array([bar.get_height() for bar in bars]) for bars in (space.before, space.after)
    )
    np.testing.assert_allclose(after, part * before, atol=1e-12)
    assert np.count_nonzero(before > 1e-12) == 1


def test_everything_stays_in_the_picture(space):
    (left, right), (bottom, top) = space.figure.axes[0].get_xlim(), space.figure.axes[0].get_ylim()
    for dy in DIRECTIONS:
        for third in (-6.0, 0.0, 6.0):
            for turn in range(-180, 180, 90):
                space.draw(third=third, eps=0.0, dy=dy, turn=turn)
                for label in space.labels.values():
                    h, v = label.get_position()
                    assert left < h < right and bottom < v < top, (dy, third, turn, label)
