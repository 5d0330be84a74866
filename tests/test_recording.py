"""Recorder and Recording: each number against a plain NumPy computation."""

import numpy as np
import pytest
from cases import close
from hypothesis import given
from hypothesis import strategies as st
from test_training import DATA, bits, net_for

from bnlib import recording
from bnlib.recording import PERCENTILES, Recorder, Recording
from bnlib.training import Trainer, accuracy, train


def recorded(norm="batch", steps=10, dtype=np.float64, **settings):
    settings = {"every": 5, "probe_size": 30, "eval_size": 40} | settings
    net = net_for(norm, dtype=dtype, activation="sigmoid")
    run = train(net, DATA, steps, 0.5, 20, seed=1, recorder=Recorder(DATA, **settings))
    return net, run


@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_last_frame_describes_the_inputs_of_the_nonlinearities(norm):
    net, run = recorded(norm)
    r = run.recording
    probe = DATA.batch(slice(0, 30))[0]
    inputs = net.nonlinearity_inputs(probe)
    assert len(inputs) == len(r.layer_names) == 2
    for layer, z in enumerate(inputs):
        close(r.mean[-1, layer], z.mean(), 1e-12, scale=1)
        close(r.std[-1, layer], z.std(), 1e-12)
        close(r.unit_std[-1, layer], np.median(z.std(axis=0)), 1e-12)
        close(r.percentiles[-1, layer], np.percentile(z, PERCENTILES), 1e-12, scale=1)
        close(r.unit_percentiles[-1, layer], np.percentile(z[:, 0], PERCENTILES), 1e-12, scale=1)
        assert r.saturated[-1, layer] == np.mean(np.abs(z) > 4.36)
        clipped = np.clip(z, -6, 6 - 1e-9)
        assert (
            r.histogram[-1, layer].tolist() == (np.histogram(clipped, r.edges)[0] / z.size).tolist()
        )
    assert r.accuracy[-1] == accuracy(net, *DATA.test_batch(40))
    close(r.loss, run.losses[[0, 4, 9]], 0, scale=1)


def test_the_gradient_norm_is_that_of_the_weights_that_feed_the_layer():
    net, run = recorded()
    weights = [net.layers[0], net.layers[3]]
    expected = [np.linalg.norm(dense.grads["weight"]) for dense in weights]
    close(run.recording.gradient_norm[-1], expected, 1e-12)
    assert (run.recording.gradient_norm > 0).all()


def test_the_gradient_norm_passes_over_a_norm_in_between():
    """With BatchNorm before the nonlinearity, "weight" is still the one of Dense, not gamma."""
    net, run = recorded()
    assert run.recording.gradient_norm[-1, 0] != np.linalg.norm(net.layers[1].grads["gamma"])


def test_frame_0_is_the_untrained_network_and_the_first_batch():
    _, run = recorded()
    r = run.recording
    fresh = net_for("batch", activation="sigmoid")
    inputs = fresh.nonlinearity_inputs(DATA.batch(slice(0, 30))[0])
    close(r.mean[0], [z.mean() for z in inputs], 1e-12, scale=1)
    assert r.loss[0] == run.losses[0] and r.steps[0] == 0
    assert r.accuracy[0] == accuracy(fresh, *DATA.test_batch(40))


def test_shapes_names_and_ranges():
    _, run = recorded(steps=12, bins=20, limits=(-3, 5))
    r = run.recording
    assert r.steps.tolist() == [0, 5, 10]
    assert r.layer_names == ("1: sigmoid", "2: sigmoid")
    assert r.edges.tolist() == np.linspace(-3, 5, 21).tolist()
    assert r.histogram.shape == (3, 2, 20)
    close(r.histogram.sum(axis=2), np.ones((3, 2)), 1e-12)
    assert r.percentiles.shape == r.unit_percentiles.shape == (3, 2, 3)
    assert (np.diff(r.percentiles) >= 0).all() and (np.diff(r.unit_percentiles) >= 0).all()
    for name in ("mean", "std", "unit_std", "saturated", "gradient_norm"):
        assert getattr(r, name).shape == (3, 2)
    assert r.loss.shape == r.accuracy.shape == (3,)
    for share in (r.saturated, r.accuracy, r.histogram):
        assert ((share >= 0) & (share <= 1)).all()


def test_another_unit_can_be_watched():
    net, run = recorded(unit=3)
    z = net.nonlinearity_inputs(DATA.batch(slice(0, 30))[0])[1]
    close(
        run.recording.unit_percentiles[-1, 1], np.percentile(z[:, 3], PERCENTILES), 1e-12, scale=1
    )


def test_a_sample_is_close_to_all_values():
    everything = recorded()[1].recording
    sample = recorded(sample=60)[1].recording
    assert not np.array_equal(sample.mean, everything.mean)
    assert np.abs(sample.mean - everything.mean).max() < 0.5
    close(sample.histogram.sum(axis=2), np.ones((3, 2)), 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recording_changes_nothing(dtype):
    net = net_for("batch", dtype=dtype)
    recorder = Recorder(DATA, every=1, probe_size=20)
    trainer = Trainer(net, DATA, 0.1, 20)
    trainer.advance(3)
    before, grads = bits(net), net.flat_grads.copy()
    recorder.record(net, 3, 1.0)
    assert bits(net) == before and np.array_equal(net.flat_grads, grads)
    assert net.training and net.flat_params.dtype == dtype


def test_is_due_every_so_many_steps():
    recorder = Recorder(DATA, every=4)
    assert [step for step in range(13) if recorder.is_due(step)] == [0, 4, 8, 12]


def test_fresh_has_the_same_settings_and_no_frames():
    settings = {
        "every": 3, "probe_size": 31, "eval_size": 7, "bins": 11, "limits": (-1, 2), "unit": 2,
        "sample": 50,
    }  # fmt: skip
    recorder = Recorder(DATA, **settings)
    train(net_for(), DATA, 3, 0.1, 20, recorder=recorder)
    fresh = recorder.fresh()
    assert {name: getattr(fresh, name) for name in settings} == settings
    assert fresh.data is DATA and fresh.steps == [] and recorder.steps == [0, 3]
    with pytest.raises(RuntimeError, match="no frames yet"):
        fresh.recording()


@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    bins=st.integers(2, 9),
)
def test_histogram_counts_every_value_once(values, bins):
    values = np.array(values)
    shares = recording._histogram(values, bins, (-2.0, 3.0))
    close(shares.sum(), 1.0, 1e-12)
    edges = np.linspace(-2, 3, bins + 1)
    # Values within rounding of an edge may fall on either side.
    if np.abs(values[:, None] - edges).min() > 1e-9:
        expected = np.histogram(np.clip(values, -2 + 1e-12, 3 - 1e-12), edges)[0] / values.size
        close(shares, expected, 1e-12, scale=1)


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=40))
def test_percentiles_are_those_of_numpy(values):
    close(
        recording._percentiles(np.array(values)),
        np.percentile(values, PERCENTILES),
        1e-12,
        scale=10,
    )


# -- Saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("diverged_at", [None, 0, 8])
def test_saves_and_loads_bit_by_bit(tmp_path, diverged_at):
    _, run = recorded()
    original = Recording(**vars(run.recording) | {"diverged_at": diverged_at})
    original.save(tmp_path / "run.npz")
    loaded = Recording.load(tmp_path / "run.npz")
    assert loaded.diverged_at == diverged_at and loaded.layer_names == original.layer_names
    for name, value in vars(original).items():
        if isinstance(value, np.ndarray):
            assert getattr(loaded, name).tobytes() == value.tobytes(), name
            assert getattr(loaded, name).dtype == value.dtype
    with np.load(tmp_path / "run.npz", allow_pickle=False) as archive:  # no pickle inside
        assert all(archive[name].dtype != object for name in archive.files)


def test_another_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"expected a Recording .* got \['a'\]: was it saved by"):
        Recording.load(tmp_path / "other.npz")


def test_frame_at_is_the_last_frame_at_or_before_a_step():
    r = recorded()[1].recording
    assert [r.frame_at(step) for step in (0, 4, 5, 9, 10, 99)] == [0, 0, 1, 1, 2, 2]


def test_repr_says_how_long_it_is():
    assert repr(recorded()[1].recording) == "Recording(3 frames to step 10, 2 layers)"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"every": 0}, "every >= 1"),
        ({"probe_size": 1}, "probe_size >= 2"),
        ({"eval_size": 0}, "eval_size >= 1"),
        ({"bins": 1}, "bins >= 2"),
        ({"limits": (2, 2)}, "rising limits"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Recorder(DATA, **settings)
