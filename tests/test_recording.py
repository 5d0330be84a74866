"""Recorder and Recording: each number against a plain NumPy computation."""

from dataclasses import replace

import numpy as np
import pytest
from cases import close, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import DATA, net_for

from bnlib import BatchNorm, Dense, ReLU, Sequential, cnn, recording
from bnlib.data import Data
from bnlib.recording import PERCENTILES, Recorder, Recording
from bnlib.training import Trainer, accuracy, train

PROBE = slice(0, 30)
PARTS = ("histogram", "mean", "std")


def recorded(norm="batch", steps=10, dtype=np.float64, activation="sigmoid", **settings):
    settings = {"every": 5, "probe_size": 30, "eval_size": 40} | settings
    net = net_for(norm, dtype=dtype, activation=activation)
    run = train(net, DATA, steps, 0.5, 20, seed=1, recorder=Recorder(DATA, **settings))
    return net, run


def columns(z):
    """z (N, units, ...) as one row a unit."""
    return [z[:, c].ravel() for c in range(z.shape[1])]


def shares(values, edges):
    inside = np.clip(values, edges[0], edges[-1] - 1e-9)
    return np.histogram(inside, edges)[0] / values.size


def check_unit(r, prefix, layer, k, values, rel=1e-12):
    """The numbers of the last frame for the k-th channel that is recorded one by one."""
    found = {name: getattr(r, f"{prefix}_{name}")[-1, layer, k] for name in PARTS}
    close(found["mean"], values.mean(), rel, scale=1)
    close(found["std"], values.std(), rel)
    close(found["histogram"], shares(values, r.edges), rel)


def in_front_of_the_norm(net, probe):
    """By the formula: what net_for("batch") computes before each BatchNorm, in training mode."""
    before, x = [], probe
    for dense, bn in ((net.layers[0], net.layers[1]), (net.layers[3], net.layers[4])):
        before.append(z := x @ dense.weight)
        xhat = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + bn.eps)
        x = 1 / (1 + np.exp(-(bn.gamma * xhat + bn.beta)))
    return before


# -- Every number ---------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_last_frame_describes_the_inputs_of_the_nonlinearities(norm):
    net, run = recorded(norm, unit=11)
    r, (probe, _) = run.recording, DATA.batch(PROBE)
    inputs = net.nonlinearity_inputs(probe)
    start = net_for(norm, activation="sigmoid").nonlinearity_inputs(probe)
    assert len(inputs) == len(r.layer_names) == 2
    for layer, z in enumerate(inputs):
        close(r.mean[-1, layer], z.mean(), 1e-12, scale=1)
        close(r.std[-1, layer], z.std(), 1e-12)
        close(r.unit_std[-1, layer], np.median(z.std(axis=0)), 1e-12)
        moved = np.abs(z.mean(axis=0) - start[layer].mean(axis=0)).mean()
        close(r.unit_movement[-1, layer], moved, 1e-12, scale=1)
        close(r.percentiles[-1, layer], np.percentile(z, PERCENTILES), 1e-12, scale=1)
        unit = z[:, 3]  # 11 of 8 units, counted on from the start
        close(r.unit_percentiles[-1, layer], np.percentile(unit, PERCENTILES), 1e-12, scale=1)
        close(r.saturated[-1, layer], np.mean(np.abs(z) > 4.36), 1e-12, scale=1)
        close(r.histogram[-1, layer], shares(z, r.edges), 1e-12)
    assert (r.unit_movement[0] == 0).all() and (r.unit_movement[1:] > 1e-4).all()
    assert r.accuracy[-1] == accuracy(net, *DATA.test_batch(40))
    close(r.loss, run.losses[[0, 4, 9]], 0, scale=1)
    # Of Dense, and not of the BatchNorm in between, whose gamma is a "weight" too.
    weights = [g for name, g in net.grads.items() if name.endswith(".weight")]
    close(r.gradient_norm[-1], [np.linalg.norm(g) for g in weights[:2]], 1e-12)
    assert (r.gradient_norm > 0).all()


def test_frame_0_is_the_untrained_network_and_the_first_batch():
    _, run = recorded()
    r = run.recording
    fresh = net_for("batch", activation="sigmoid")
    inputs = fresh.nonlinearity_inputs(DATA.batch(PROBE)[0])
    close(r.mean[0], [z.mean() for z in inputs], 1e-12, scale=1)
    assert r.loss[0] == run.losses[0] and r.steps[0] == 0
    assert r.accuracy[0] == accuracy(fresh, *DATA.test_batch(40))
    first_batch = Trainer(fresh, DATA, 1e-12, 20, seed=1)  # a step that changes next to nothing
    first_batch.advance(1)
    expected = [np.linalg.norm(fresh.layers[i].grads["weight"]) for i in (0, 3)]
    close(r.gradient_norm[0], expected, 1e-9)


def test_shapes_and_names():
    _, run = recorded(steps=12, bins=20, limits=(-3, 5))
    r = run.recording
    assert r.steps.tolist() == [0, 5, 10]
    assert r.layer_names == ("1: sigmoid", "2: sigmoid")
    assert r.edges.tolist() == np.linspace(-3, 5, 21).tolist()
    assert r.histogram.shape == (3, 2, 20)
    for name in ("mean", "std", "unit_std", "unit_movement", "saturated", "dead", "gradient_norm"):
        assert getattr(r, name).shape == (3, 2), name
    assert repr(r) == "Recording(3 frames to step 10, 2 layers)"
    assert [r.frame_at(step) for step in (0, 4, 5, 9, 10, 99)] == [0, 0, 1, 1, 2, 2]
    for name, value in vars(r).items():
        if name.startswith(("channel_", "before_")):
            assert value is None, name


def test_a_sample_is_close_to_all_values():
    everything = recorded()[1].recording
    sample = recorded(sample=60)[1].recording
    assert not np.array_equal(sample.mean, everything.mean)
    assert np.abs(sample.mean - everything.mean).max() < 0.5
    close(sample.histogram.sum(axis=2), np.ones((3, 2)), 1e-12)
    for name in ("unit_std", "unit_movement", "saturated", "dead"):  # never sampled
        close(getattr(sample, name), getattr(everything, name), 1e-12, scale=1)


@given(size=st.integers(1, 3000), most=st.integers(1, 500))
@settings(max_examples=30)
def test_a_sample_has_at_most_so_many_values_and_comes_from_everywhere(size, most):
    values = recording._sample(np.arange(size), most)
    assert 1 <= len(values) <= most and len(set(values)) == len(values)
    gaps = np.diff([*values, size])
    assert values[0] == 0 and gaps.max() <= 2 * (size // most + 1) + 8


def test_a_sample_does_not_keep_hitting_the_same_column():
    """Every other value of 4 columns would see two of them only."""
    z = np.tile(np.arange(4.0), (100, 1))
    assert set(recording._sample(z, 200).tolist()) == {0, 1, 2, 3}


# -- Units: movement, death, single ones, and what enters the norm ---------------------------------


def test_dead_units_are_those_that_are_saturated_on_99_percent_of_the_probe():
    images = np.zeros((200, 3), np.uint8)
    images[:2, 0] = 255  # unit 0 is positive for 2 of 200 images, unit 1 for 3, unit 2 for none
    images[:3, 1] = 255
    labels = np.zeros(200, np.int64)
    data = Data(images, labels, images, labels)
    net = Sequential([Dense(3, 3), ReLU(), Dense(3, 2)])
    net.layers[0].weight[...] = np.eye(3)
    recorder = Recorder(data, eval_size=10)
    recorder.record(net, 0, 1.0)
    r = recorder.recording()
    assert r.dead.tolist() == [[2 / 3]]
    close(r.saturated, [[1 - 5 / 600]], 1e-12)


@pytest.mark.parametrize("channels, index", [(1, [0]), (3, [0, 4, 7]), (8, list(range(8)))])
def test_channels_are_evenly_spaced_units(channels, index):
    net, run = recorded(channels=channels)
    r = run.recording
    assert r.channel_index.tolist() == [index, index]
    for layer, z in enumerate(net.nonlinearity_inputs(DATA.batch(PROBE)[0])):
        for k, unit in enumerate(index):
            check_unit(r, "channel", layer, k, z[:, unit])


def test_no_more_channels_than_the_smallest_layer_has():
    net = Sequential([Dense(12, 9), ReLU(), Dense(9, 3, rng=1), ReLU(), Dense(3, 4, rng=2)])
    run = train(net, DATA, 1, 0.1, 20, recorder=Recorder(DATA, channels=5))
    assert run.recording.channel_index.tolist() == [[0, 4, 8], [0, 1, 2]]
    assert run.recording.channel_mean.shape == (1, 2, 3)


def test_a_quarter_of_the_sample_for_a_single_channel():
    _, run = recorded(channels=2, sample=40)
    counts = run.recording.channel_histogram * 10  # at most 10 of the 30 values
    close(counts, counts.round(), 1e-12)
    assert (run.recording.channel_histogram.sum(axis=-1) > 0.99).all()


def test_before_norm_describes_what_enters_the_norm():
    net, run = recorded(channels=3, before_norm=True)
    r = run.recording
    start = in_front_of_the_norm(net_for("batch", activation="sigmoid"), DATA.batch(PROBE)[0])
    for layer, z in enumerate(in_front_of_the_norm(net, DATA.batch(PROBE)[0])):
        close(r.before_unit_std[-1, layer], np.median(z.std(axis=0)), 1e-9)
        moved = np.abs(z.mean(axis=0) - start[layer].mean(axis=0)).mean()
        close(r.before_unit_movement[-1, layer], moved, 1e-9)
        for k, unit in enumerate((0, 4, 7)):
            check_unit(r, "before", layer, k, z[:, unit], 1e-9)
    assert r.before_histogram.shape == (3, 2, 3, 60)
    assert not np.allclose(r.before_mean, r.channel_mean)


@pytest.mark.parametrize("norm, settings", [(None, {}), ("batch", {"norm_position": "after"})])
def test_without_a_norm_in_front_before_and_channel_are_the_same(norm, settings):
    net = net_for(norm, **settings)
    recorder = Recorder(DATA, every=2, channels=3, before_norm=True)
    r = train(net, DATA, 4, 0.1, 20, recorder=recorder).recording
    for name in PARTS:
        assert np.array_equal(getattr(r, f"before_{name}"), getattr(r, f"channel_{name}"))
    for name in ("unit_std", "unit_movement"):
        assert np.array_equal(getattr(r, f"before_{name}"), getattr(r, name))


def test_a_unit_of_a_cnn_is_a_channel_over_images_and_positions():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 1, 8, 8)).astype(np.uint8)
    data = Data(images, np.arange(30) % 4, images, np.arange(30) % 4)
    net = cnn((1, 3, 5), norm="batch", image_size=8, num_classes=4)
    settings = {"every": 3, "sample": 10**6, "channels": 3, "before_norm": True}
    r = train(net, data, 3, 0.1, 10, recorder=Recorder(data, **settings)).recording
    assert r.channel_index.tolist() == [[0, 1, 2], [0, 2, 4]]
    probe = data.batch(slice(0, 30))[0]
    pairs = net.nonlinearity_inputs(probe, before_norm=True)
    for layer, (before, z) in enumerate(pairs):
        stds = [unit.std() for unit in columns(z)]
        close(r.unit_std[-1, layer], np.median(stds), 1e-9)
        close(r.before_unit_std[-1, layer], np.median([u.std() for u in columns(before)]), 1e-9)
        close(r.channel_std[-1, layer], [stds[c] for c in r.channel_index[layer]], 1e-9)
        dead = np.mean([np.mean(u <= 0) >= 0.99 for u in columns(z)])
        assert r.dead[-1, layer] == dead
    close(pairs[0][0], net.layers[0].forward(probe), 1e-12)


# -- What the Recorder does and does not do --------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_recording_changes_nothing(training):
    net = net_for("batch", dtype=np.float32)
    recorder = Recorder(DATA, every=1, probe_size=20, channels=2, before_norm=True)
    Trainer(net, DATA, 0.1, 20).advance(3)
    if not training:
        net.eval()
    before, grads = snapshot(net), net.flat_grads.copy()
    recorder.record(net, 3, 1.0)
    assert snapshot(net) == before and np.array_equal(net.flat_grads, grads)
    assert net.training == training and net.flat_params.dtype == np.float32
    assert all(layer.training == training for layer in net.layers if isinstance(layer, BatchNorm))


def test_fresh_has_the_same_settings_and_no_frames():
    settings = {
        "every": 3, "probe_size": 31, "eval_size": 7, "bins": 11, "limits": (-1, 2), "unit": 2,
        "sample": 50, "channels": 2, "before_norm": True,
    }  # fmt: skip
    recorder = Recorder(DATA, **settings)
    recorder.record(net_for(), 0, 1.0)
    fresh = recorder.fresh()
    assert vars(fresh) | settings == vars(fresh) and fresh.steps == [] and recorder.steps == [0]
    with pytest.raises(RuntimeError, match="no frames yet"):
        fresh.recording()


def test_one_recorder_serves_two_runs_and_mixes_nothing():
    recorder = Recorder(DATA, every=5, probe_size=20)
    first, second = (
        train(net_for("batch", seed=seed), DATA, 10, 0.1, 20, recorder=recorder) for seed in (0, 1)
    )
    alone = train(net_for("batch", seed=1), DATA, 10, 0.1, 20, recorder=recorder.fresh())
    assert first.recording.steps.tolist() == second.recording.steps.tolist() == [0, 5, 10]
    assert np.array_equal(second.recording.histogram, alone.recording.histogram)
    assert np.array_equal(second.recording.unit_movement, alone.recording.unit_movement)
    assert not np.array_equal(first.recording.histogram, second.recording.histogram)


@pytest.mark.parametrize("step", [0, 4, 5])
def test_a_frame_that_goes_back_in_time_is_refused(step):
    recorder = Recorder(DATA)
    recorder.record(net_for(), 5, 1.0)
    with pytest.raises(ValueError, match=f"a step after 5, its last frame, got {step}: .*fresh"):
        recorder.record(net_for(), step, 1.0)
    assert recorder.steps == [5]


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=40), bins=st.integers(2, 9))
@settings(max_examples=30)
def test_histogram_counts_every_value_once_and_percentiles_are_those_of_numpy(values, bins):
    values = np.array(values)
    found = recording._histogram(values, bins, (-2.0, 3.0))
    close(found.sum(), 1.0, 1e-12)
    edges = np.linspace(-2, 3, bins + 1)
    # Values within rounding of an edge may fall on either side.
    if np.abs(values[:, None] - edges).min() > 1e-9:
        close(found, shares(values, edges), 1e-12, scale=1)
    assert PERCENTILES == (15, 50, 85)  # Figure 1 of the paper
    close(recording._percentiles(values), np.percentile(values, PERCENTILES), 1e-12, scale=10)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"every": 0}, "every >= 1, a whole number, got 0"),
        ({"probe_size": 1}, "probe_size >= 2, a whole number"),
        ({"eval_size": 0}, "eval_size >= 1, a whole number"),
        ({"bins": 1}, "bins >= 2, a whole number"),
        ({"sample": 3}, "sample >= 4, a whole number"),
        ({"channels": -1}, "channels >= 0, a whole number"),
        ({"limits": (2, 2)}, "rising limits"),
        ({"limits": (-np.inf, np.inf)}, "finite, rising limits"),
        ({"limits": (0, 1e-310)}, "finite, rising limits"),
        ({"before_norm": True}, "channels >= 1 with before_norm"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Recorder(DATA, **settings)


def test_what_cannot_be_recorded_is_refused_in_words():
    with pytest.raises(TypeError, match=r"data as load_mnist\(\) returns it, got ndarray"):
        Recorder(DATA.x_train)
    with pytest.raises(ValueError, match="a network with nonlinearities, got none"):
        Recorder(DATA).record(Sequential([Dense(DATA.num_features, 4)]), 0, 1.0)


# -- Saving ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """A Recording with everything in it."""
    return recorded(channels=3, before_norm=True)[1].recording


@pytest.mark.parametrize("diverged_at", [None, 8])
@pytest.mark.parametrize("settings", [{}, {"channels": 2}, {"channels": 2, "before_norm": True}])
def test_saves_and_loads_bit_by_bit(tmp_path, diverged_at, settings):
    original = replace(recorded(**settings)[1].recording, diverged_at=diverged_at)
    original.save(tmp_path / "run.npz")
    loaded = Recording.load(tmp_path / "run.npz")
    for name, value in vars(original).items():
        found = getattr(loaded, name)
        if isinstance(value, np.ndarray):
            assert found.tobytes() == value.tobytes() and found.dtype == value.dtype, name
        else:
            assert found == value, name


def test_another_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"expected a Recording .* got \['a'\]: was it saved by"):
        Recording.load(tmp_path / "other.npz")


ALTERED = {
    "frames cut off": ("loss", lambda v: v[:-1]),
    "layers cut off": ("mean", lambda v: v[:, :1]),
    "one name too many": ("layer_names", lambda v: np.append(v, "3: relu")),
    "one edge too few": ("edges", lambda v: v[:-1]),
    "an axis too many": ("accuracy", lambda v: v[:, None]),
    "text for numbers": ("std", lambda v: v.astype(str)),
    "floats for steps": ("steps", lambda v: v + 0.5),
    "no frames": None,
}


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED.keys())
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, whole, change):
    whole.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as archive:
        arrays = dict(archive)
    if change is None:
        axes = recording.ALL_AXES
        arrays = {k: v[:0] if axes[k].startswith("T") else v for k, v in arrays.items()}
    else:
        name, function = change
        arrays[name] = function(arrays[name])
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match="was the file altered"):
        Recording.load(tmp_path / "run.npz")
