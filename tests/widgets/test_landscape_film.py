"""LandscapeFilm: its lines and numbers are those of the two networks trained that way."""

import re

import numpy as np
import pytest

from bnlib import load_mnist, mlp
from bnlib.figures.format import number
from bnlib.landscape import follow
from bnlib.widgets import LandscapeFilm

SMALL = {"steps": 40, "every": 10, "hidden": (20, 20), "sample": 100}


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=1000, n_test=50)


@pytest.fixture(scope="module")
def film(data):
    return LandscapeFilm(data, **SMALL)


def direct(data, norm, lr=0.1, activation="relu", batch_size=64):
    net = mlp([196, 20, 20, 10], norm, activation, seed=0)
    return follow(net, data, lr, batch_size, 0, steps=40, every=10, sample=100)


def test_it_shows_what_follow_measures(film, data):
    film.render(frame=2, **film.values())
    for name, norm in (("without BN", None), ("with BN", "batch")):
        looks = direct(data, norm)
        line = looks.losses[2] - looks.losses[2, 0]
        np.testing.assert_array_equal(film._now[name].get_ydata(), line)
        # All looks so far, with a gap after each of 7 distances.
        past = film._past[name].get_ydata().reshape(3, 8)
        np.testing.assert_array_equal(past[:, :7], looks.losses[:3] - looks.losses[:3, :1])
        for progress, values in zip(film._measured.values(), (looks.ranges, looks.turns)):
            past, future = progress.curves[name]
            np.testing.assert_array_equal(past.get_xydata(), np.c_[[0, 10, 20], values[:3]])
            np.testing.assert_array_equal(future.get_xydata(), np.c_[[20, 30, 40], values[2:]])
            assert progress.cursor.get_xdata()[0] == 20
    assert len({ax.get_ylim() for ax in film._panels.values()}) == 1


def test_the_sentence_has_the_numbers_of_the_look_and_the_last_one_the_medians(film, data):
    pattern = r"W\w+ BN: loss varies by (\S+), gradient changes by (\S+) times its length."
    looks = [direct(data, norm) for norm in (None, "batch")]
    for frame in range(5):
        film.frame = frame
        assert film.sentence.startswith(f"Step {10 * frame} of 40, rate 0.1, ")
        pick = np.median if frame == 4 else lambda values, i=frame: values[i]
        assert ("medians of the whole run" in film.sentence) == (frame == 4)
        wanted = [(number(pick(each.ranges)), number(pick(each.turns))) for each in looks]
        assert re.findall(pattern, film.sentence) == wanted


def test_another_rate_trains_anew_once(film, data):
    looks, png = film.looks, film.png
    film.controls["lr"].value = 0.3
    assert film.png != png and "rate 0.3" in film.sentence
    np.testing.assert_array_equal(film.looks["with BN"].losses, direct(data, "batch", 0.3).losses)
    film.controls["lr"].value = 0.1
    assert film.looks is looks and film.png == png and film.frame == 4


def test_other_networks_and_batches(data):
    other = {"activation": "tanh", "batch_size": 8}
    film = LandscapeFilm(data, **SMALL, **other)
    losses = direct(data, "batch", **other).losses
    np.testing.assert_array_equal(film.looks["with BN"].losses, losses)


@pytest.mark.parametrize("name, lr", [("with BN", 1e9), ("without BN", 1e200)])
def test_a_network_that_diverges_is_shown_as_such(data, name, lr):
    film = LandscapeFilm(data, **SMALL, lr=lr)
    at = film.looks[name].diverged_at
    assert film.error is None and at is not None
    assert f"{name.capitalize()[:-2]}BN: diverged at step {at}." in film.sentence
    assert name in film.summary() and "diverged" in film.summary()
    film.controls["lr"].value = 0.1
    assert "diverged" not in film.sentence + film.summary()


def test_the_summary_says_which_median_is_clearly_smaller(film, monkeypatch):
    looks = {
        name: type("Looks", (), {"ranges": r, "turns": t, "diverged_at": None})
        for name, r, t in (("without BN", [1, 2, 9], [4, 4, 4]), ("with BN", [2, 2, 2], [3, 3, 3]))
    }
    monkeypatch.setattr(film, "looks", looks)
    assert film.summary() == (
        "LandscapeFilm, 40 training steps at rate 0.1: along the gradient, in the median, the loss "
        "varies about as much with BN and the gradient changes less with BN."
    )
    assert film._repr_mimebundle_()["text/plain"] == film.summary()


@pytest.mark.parametrize(
    "setting, says",
    [
        ({"steps": 620}, "2 to 61 frames.* got 620 steps and every 10"),
        ({"every": 50}, "2 to 61 frames.* got 40 steps and every 50"),
        ({"every": 0}, "expected every >= 1"),
        ({"steps": 1.5}, "expected steps >= 1, a whole number"),
        ({"lr": "fast"}, "finite lr > 0, got 'fast'"),
    ],
)
def test_other_settings_are_refused_in_words(data, setting, says):
    with pytest.raises(ValueError, match=says):
        LandscapeFilm(data, **SMALL | setting)
