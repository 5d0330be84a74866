"""SignalExplorer: what is drawn is the profile of the network that the controls describe."""

import numpy as np
import pytest

from bnlib import mlp
from bnlib.profile import signal_profile
from bnlib.widgets import SignalExplorer
from bnlib.widgets.signal_explorer import UNITS


@pytest.fixture
def batch():
    rng = np.random.default_rng(2)
    return rng.standard_normal((20, 30)), rng.integers(0, 10, 20)


@pytest.fixture
def explorer(batch):
    return SignalExplorer(*batch, depth=6, scale=1.2, activation="tanh")


def put(explorer, **values):
    for name, value in values.items():
        explorer.controls[name].value = value
    assert explorer.error is None


def drawn(explorer, kind="without BN"):
    """The left and the right line of a kind of network."""
    return explorer._units[kind].get_ydata(), explorer._norms[kind].get_ydata()


def test_the_lines_are_the_profile_of_the_network_that_the_controls_name(explorer, batch):
    without = explorer.png
    assert not len(drawn(explorer, "with BN")[0]) and "BN" not in explorer.sentence
    put(explorer, norm=True)
    assert explorer.png != without and "with BN" in explorer.sentence
    put(explorer, norm=False)
    assert explorer.png == without
    put(explorer, activation="sigmoid", depth=8, scale=0.7, norm=True)
    for kind, norm in (("without BN", None), ("with BN", "batch")):
        sizes = [30, *[UNITS] * 8, 10]
        net = mlp(sizes, norm=norm, activation="sigmoid", init_scale=0.7, seed=0)
        want = signal_profile(net, *batch)
        left, right = drawn(explorer, kind)
        np.testing.assert_allclose(left, want.unit_std, rtol=1e-12)
        np.testing.assert_allclose(right, want.gradient_norm, rtol=1e-12)
        if norm is None:
            np.testing.assert_allclose(explorer._all.get_ydata(), want.std, rtol=1e-12)
    assert list(explorer._all.get_xdata()) == list(range(1, 9))


def test_sigmoids_lose_the_image_but_not_the_spread_over_units(explorer):
    """The lesson of the first picture: the grey dots stay level, the dashed line does not."""
    put(explorer, activation="sigmoid", depth=50, scale=1.0)
    assert drawn(explorer)[0][-1] < 1e-12 < 0.05 < explorer._all.get_ydata()[-1]
    assert "→ below 1e-12" in explorer.sentence and "gradient below 1e-20" in explorer.sentence


def test_what_lies_beyond_the_axes_is_marked_at_their_edge_and_told_truly(explorer):
    put(explorer, activation="relu", depth=50, scale=4.0)
    above, below = (artist.get_xdata() for artist in explorer._beyond[0].artists)
    assert above[-1] == 50 and not len(below) and "e2" in explorer.sentence
    put(explorer, scale=0.1)
    above, below = (artist.get_xdata() for artist in explorer._beyond[1].artists)
    assert below[0] == 1 and not len(above) and "below" in explorer.sentence


def test_a_slider_is_answered_without_drawing_the_axes_again(explorer, monkeypatch):
    draws = []
    draw = explorer._canvas.draw
    monkeypatch.setattr(explorer._canvas, "draw", lambda: (draws.append(1), draw()))
    put(explorer, depth=40, scale=2.0, activation="relu", norm=True)
    assert not draws


@pytest.mark.parametrize(
    ("x", "labels"),
    [
        (np.zeros(5), np.zeros(5, int)),
        (np.zeros((4, 5)), np.zeros(5, int)),
        (np.full((4, 5), np.nan), np.zeros(4, int)),
    ],
)
def test_bad_input_is_named(x, labels):
    with pytest.raises(ValueError, match=r"expected finite x of shape \(N, D\)"):
        SignalExplorer(x, labels)
