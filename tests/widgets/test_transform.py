"""TransformExplorer: the numbers are batch normalization's, and every control does what it says."""

import numpy as np
import pytest

from bnlib.figures.format import number
from bnlib.functional import batch_norm
from bnlib.widgets import TransformExplorer
from bnlib.widgets.transform import EPS, STEP


@pytest.fixture
def x():
    return np.random.default_rng(3).normal([0.5, -1.0, 2.0], [0.3, 1.0, 0.1], (20, 3))


@pytest.fixture
def explorer(x):
    images = np.random.default_rng(4).random((20, 16))
    return TransformExplorer(x, images, labels=np.arange(20) % 10, units=[2, 0, 1])


def drawn(explorer):
    """Where the dots are: one row a level."""
    return np.stack([dots.get_xdata() for dots in explorer._dots])


def put(explorer, **values):
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None


def test_the_dots_are_the_steps_of_batch_norm(explorer, x):
    put(explorer, unit=1, count=16, gamma=-0.5, beta=1.5, eps=0.1)
    batch = x[:16, [1]]
    xhat, _ = batch_norm(batch, np.ones(1), np.zeros(1), 0.1)
    y, _ = batch_norm(batch, np.array([-0.5]), np.array([1.5]), 0.1)
    want = np.stack([batch[:, 0], batch[:, 0] - batch.mean(), xhat[:, 0], y[:, 0]])
    np.testing.assert_allclose(drawn(explorer), want, atol=1e-12)
    np.testing.assert_allclose(explorer._means.get_xdata(), want.mean(axis=1), atol=1e-12)
    for text, row in zip(explorer._texts, want, strict=True):
        assert text.get_text() == f"mean {number(row.mean())}\nstd {number(row.std())}"
    for bar, row in zip(explorer._bars, want, strict=True):
        np.testing.assert_allclose(bar.get_xdata(), row.mean() + row.std() * np.array([-1, 1]))


def test_the_chosen_example_has_its_lines_and_its_image(explorer):
    put(explorer, example=5)
    path = drawn(explorer)
    segments = np.array(explorer._lines.get_segments())  # (N, 4 levels, 2)
    np.testing.assert_allclose(segments[:, :, 0], path.T)
    for artist in (explorer._chosen_line, explorer._chosen):
        np.testing.assert_allclose(artist.get_xdata(), path[:, 5])
    np.testing.assert_array_equal(explorer._picture.get_array(), explorer.images[5])
    assert "Example 5 (a 5)" in explorer.sentence


def test_dragging_one_example_moves_the_others(explorer, monkeypatch):
    monkeypatch.setattr(explorer._canvas, "draw", lambda: 1 / 0)  # the axes are not drawn again
    before = drawn(explorer)
    put(explorer, example=3)
    np.testing.assert_array_equal(drawn(explorer), before)  # choosing moves nothing
    assert "Dragging" not in explorer.sentence and not len(explorer._ghosts.get_xdata())
    put(explorer, value=-2.0)
    after = drawn(explorer)
    assert after[0, 3] == -2.0
    others = np.arange(8) != 3
    np.testing.assert_array_equal(after[0, others], before[0, others])
    ghosts = np.reshape(explorer._ghosts.get_xdata(), (3, 7))  # where the others were
    np.testing.assert_allclose(ghosts, before[1:, others])
    moved = np.abs(after[2, others] - before[2, others])
    assert moved.min() > 0.01
    assert f"moved the others' x̂ by up to {moved.max():.2f}" in explorer.sentence
    put(explorer, example=4, value=-1.5)
    put(explorer, example=3)
    assert explorer.controls["value"].value == -2.0  # each keeps where it was dragged
    assert drawn(explorer)[0, [3, 4]].tolist() == [-2.0, -1.5]


def test_a_slider_that_the_browser_rounds_to_its_step_changes_nothing(explorer):
    """Without this, opening the widget would "drag" an example, and undo would not undo."""
    put(explorer, unit=1, eps=1.0)
    explorer.controls["undo"].click()
    before, path = explorer.png, drawn(explorer)
    np.testing.assert_allclose(path[3], path[0], atol=1e-12)  # undone
    for name in ("value", "gamma", "beta"):
        control = explorer.controls[name]
        control.value = control.min + round((control.value - control.min) / STEP) * STEP
    assert explorer.png == before and "Dragging" not in explorer.sentence
    path = drawn(explorer)
    np.testing.assert_allclose(path[3], path[0], atol=1e-12)
    put(explorer, gamma=explorer.controls["gamma"].value + STEP)  # one press of an arrow key
    assert explorer.png != before


def test_reset_restores_everything(explorer):
    first = explorer.png
    put(explorer, example=5, value=0.0, gamma=2.0, beta=-1.0, eps=10.0)
    put(explorer, count=2, unit=1)
    assert explorer.png != first
    explorer.controls["reset"].click()
    assert explorer.png == first
    assert explorer.error is None


def test_what_lies_beyond_the_lines_is_marked_at_their_ends(explorer):
    put(explorer, unit=1, count=16, gamma=4.0, beta=4.0)
    y = batch_norm(explorer.batch[:, None], np.full(1, 4.0), np.full(1, 4.0), EPS[0])[0][:, 0]
    end = explorer._end
    assert (y > end).any() and (y < -end).any()
    for marks, beyond, place in zip(explorer._beyond, (y > end, y < -end), (end, -end)):
        np.testing.assert_array_equal(marks.get_xydata(), [[place, 0]] * beyond.sum())
    np.testing.assert_allclose(drawn(explorer)[3], np.where(np.abs(y) > end, np.nan, y))


def test_a_smaller_batch_keeps_the_chosen_example_inside(explorer):
    put(explorer, count=16, example=15)
    put(explorer, count=4)
    assert explorer.controls["example"].value == 3
    assert explorer.controls["example"].max == 3
    assert drawn(explorer).shape == (4, 4)


def test_images_and_labels_are_optional(x):
    explorer = TransformExplorer(x[:3])
    assert explorer.controls["count"].options == (("2", 2),)
    assert "(a " not in explorer.sentence


@pytest.mark.parametrize(
    ("x", "units", "words"),
    [
        (np.zeros(5), None, r"got shape \(5,\)"),
        (np.full((4, 2), np.nan), None, "finite"),
        (np.zeros((4, 2)), [2], r"0 to 1, got \[2\]"),
    ],
)
def test_bad_input_is_named(x, units, words):
    with pytest.raises(ValueError, match=words):
        TransformExplorer(x, units=units)
