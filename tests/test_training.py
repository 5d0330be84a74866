"""The training loop, comparisons, accuracy."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cases import close, snapshot

import bnlib.training
from bnlib.data import Data
from bnlib.losses import softmax_cross_entropy
from bnlib.network import mlp
from bnlib.recording import Recorder
from bnlib.training import Trainer, accuracy, compare, train
from bnlib.views import NonFiniteError


def make_data(n=60, d=12, k=4, seed=0):
    """Small images of k classes, with labels that can be learned; pixels as in MNIST."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, 2 * n)
    images = 60 * rng.random((k, d))[labels] * 3 + 60 * rng.random((2 * n, d))
    images = images.astype(np.uint8)
    return Data(images[:n], labels[:n], images[n:], labels[n:])


DATA = make_data()
PACKAGE = Path(bnlib.training.__file__).parent


def net_for(norm=None, seed=0, dtype=np.float64, **settings):
    return mlp([12, 8, 8, 4], norm, seed=seed, dtype=dtype, **settings)


class Watched(Data):
    """The same images; ``then(count, x, labels)`` sees, and may change, the batch of each step."""

    def __init__(self, then):
        vars(self).update(vars(DATA), then=then, draws=[])  # Data is frozen

    def batch(self, indices, dtype=np.float64):
        x, labels = super().batch(indices, dtype)
        if isinstance(indices, slice):  # not a step's
            return x, labels
        self.draws.append(indices)
        return self.then(len(self.draws) - 1, x, labels)


def poisoned(draw):
    """Data whose batches turn into NaN from the given draw on."""
    return Watched(lambda count, x, labels: (x if count < draw else x * np.nan, labels))


# -- train ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "batch"])
def test_training_reduces_the_loss(norm):
    run = train(net_for(norm), DATA, 200, lr=0.2, batch_size=20)
    assert run.losses.shape == (200,)
    assert run.losses[-20:].mean() < 0.3 * run.losses[0]
    assert run.diverged_at is None and run.recording is None
    assert accuracy(run.net, *DATA.test_batch()) > 0.8


def test_train_follows_plain_sgd_on_the_same_batches():
    """The loop written out once more, with its own shuffle, momentum and weight decay."""
    settings = {"momentum": 0.5, "weight_decay": 0.01}
    run = train(net_for("batch").eval(), DATA, 7, lr=0.1, batch_size=20, seed=3, **settings)
    net, rng, losses, velocity = net_for("batch"), np.random.default_rng(3), [], 0
    while len(losses) < 7:
        order = rng.permutation(60)
        for start in (0, 20, 40):
            if len(losses) < 7:
                x, labels = DATA.batch(order[start : start + 20])
                loss, dlogits = softmax_cross_entropy(net(x), labels)
                net.backward(dlogits)
                velocity = 0.5 * velocity + net.flat_grads + 0.01 * net.flat_params
                net.flat_params -= 0.1 * velocity
                losses.append(loss)
    close(run.losses, losses, 1e-12)
    close(run.net.flat_params, net.flat_params, 1e-12)
    for name, buffer in net.buffers.items():
        close(run.net.buffers[name], buffer, 1e-12)
    assert run.net.training  # it was in evaluation mode


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_seed_decides_the_run_bit_by_bit(dtype):
    first, again, other = (
        train(net_for("batch", dtype=dtype), DATA, 12, 0.1, 20, seed=seed) for seed in (1, 1, 2)
    )
    assert snapshot(first.net) == snapshot(again.net) and np.array_equal(first.losses, again.losses)
    assert snapshot(first.net) != snapshot(other.net)
    assert first.net.flat_params.dtype == dtype


def test_an_epoch_sees_each_example_once_and_drops_the_rest():
    watched = Watched(lambda count, x, labels: (x, labels))
    train(net_for(), watched, 6, 0.1, 25)  # 60 examples: two batches of 25 an epoch
    seen = watched.draws
    assert [len(s) for s in seen] == [25] * 6
    epochs = [np.concatenate(seen[i : i + 2]) for i in (0, 2, 4)]
    assert all(len(set(epoch)) == 50 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


def test_advancing_in_pieces_is_the_same_as_at_once():
    trainer = Trainer(net_for("batch"), DATA, 0.1, 20, seed=4)
    for steps in (1, 4, 0, 5):
        trainer.advance(steps)
    assert trainer.step_count == 10
    run = train(net_for("batch"), DATA, 10, 0.1, 20, seed=4)
    assert snapshot(trainer.net) == snapshot(run.net) and np.array_equal(
        trainer.run().losses, run.losses
    )


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"steps": 0}, ValueError, "expected steps >= 1, a whole number, got 0"),
        ({"steps": 2.0}, ValueError, "steps >= 1, a whole number, got 2.0"),
        ({"batch_size": 0}, ValueError, "batch_size >= 1, a whole number, got 0"),
        ({"batch_size": 61}, ValueError, "batch_size <= 60, .* got 61"),
        ({"data": [[0.0]]}, TypeError, "expected data as load_mnist.. returns it, got list"),
        ({"lr": {}}, ValueError, "a learning rate for each network, .'net'. have none"),
        ({"seed": -1}, ValueError, "expected seed >= 0, a whole number, got -1"),
        ({"seed": np.random.default_rng(0)}, ValueError, "seed >= 0, a whole number, got Gen"),
        ({"recorder": True}, TypeError, "expected a bnlib.Recorder, or None, got bool"),
        ({"net": []}, TypeError, r"expected a network, such as mlp\(.*, got list"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(change, error, message):
    net = net_for("batch")
    before = snapshot(net)
    with pytest.raises(error, match=message):
        train(**{"net": net, "data": DATA, "steps": 2, "lr": 0.1, "batch_size": 20} | change)
    assert snapshot(net) == before


@pytest.mark.parametrize(
    "labels, error, message",
    [
        (DATA.y_train + 1, ValueError, r"labels in \[0, 4\), got . to 4"),
        (DATA.y_train - 1, ValueError, r"labels in \[0, 4\), got -1 to ."),
        (DATA.y_train.astype(float), TypeError, "integer labels, got float64"),
        (DATA.y_train[:, None], ValueError, r"one label for each of the 60 .* shape \(60, 1\)"),
        (DATA.y_train[:-1], ValueError, r"one label for each of the 60 .* shape \(59,\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_anything_moves(labels, error, message):
    net = net_for("batch").eval()
    before = snapshot(net)
    with pytest.raises(error, match=message):
        train(net, replace(DATA, y_train=labels), 3, 0.1, 20)
    assert snapshot(net) == before and not net.training


def test_images_that_do_not_fit_are_refused_before_anything_moves():
    net = mlp([11, 8, 4], "batch")
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"expected x of shape \(N, 11\), got \(2, 12\)"):
        train(net, DATA, 3, 0.1, 20)
    assert snapshot(net) == before
    net = net_for("batch").eval()
    with pytest.raises(ValueError, match="more than one value per channel"):
        train(net, DATA, 3, 0.1, batch_size=1)
    assert not net.training


def test_advance_takes_0_steps_but_not_fewer():
    trainer = Trainer(net_for(), DATA, 0.1, 20)
    trainer.advance(0)
    for steps in (-1, 1.5):
        with pytest.raises(ValueError, match=f"steps >= 0, a whole number, got {steps}"):
            trainer.advance(steps)
    assert trainer.step_count == 0 and repr(trainer.run()) == "Run(0 steps)"


# -- Divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "batch"])
def test_divergence_is_recorded_and_keeps_the_last_good_weights(norm):
    trainer = Trainer(net_for(norm), poisoned(5), 0.1, 20)
    trainer.advance(30)
    trainer.advance(10)  # does nothing
    run = trainer.run()
    assert run.diverged_at == 5 and repr(run) == "Run(diverged at step 5)"
    assert run.losses.shape == (5,) and np.isfinite(run.losses).all()
    good = train(net_for(norm), DATA, 5, 0.1, 20)
    assert repr(good).startswith("Run(5 steps, last loss ")
    assert np.array_equal(run.net.flat_params, good.net.flat_params)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize(
    "dtype, lr", [(np.float32, 1e30), (np.float64, 1e100), (np.float64, 1e300)]
)
@pytest.mark.parametrize("norm", [None, "batch"])
def test_a_huge_learning_rate_diverges_without_warning_or_error(activation, dtype, lr, norm):
    """However it goes wrong, each frame that was kept can be drawn."""
    for recorder in (None, Recorder(DATA, every=1, probe_size=20)):
        net = net_for(norm, activation=activation, dtype=dtype)
        run = train(net, DATA, 50, lr, 20, recorder=recorder)
        assert np.isfinite(run.losses).all()
        assert len(run.losses) == (50 if run.diverged_at is None else run.diverged_at)
    assert run.recording.diverged_at == run.diverged_at
    arrays = {k: v for k, v in vars(run.recording).items() if isinstance(v, np.ndarray)}
    assert {k for k, v in arrays.items() if not np.isfinite(v).all()} == set()
    if lr == 1e300:
        assert run.diverged_at is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_recorder_refuses_what_it_cannot_draw(bad):
    net, recorder = net_for(), Recorder(DATA, probe_size=20)
    net.layers[0].weight[...] = bad
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(NonFiniteError, match="NaN or"),
    ):
        recorder.record(net, 3, 1.0)
    assert recorder.steps == []


def test_a_recorder_refuses_gradients_whose_norm_overflows():
    net, recorder = net_for(), Recorder(DATA, probe_size=20)
    net.flat_grads[...] = 1e200
    with (
        np.errstate(over="ignore"),
        pytest.raises(NonFiniteError, match="the norms of the gradients, got NaN or"),
    ):
        recorder.record(net, 3, 1.0)
    assert recorder.steps == []


def test_divergence_in_the_first_batch():
    run = train(net_for(), poisoned(0), 5, 0.1, 20, recorder=Recorder(DATA, probe_size=20))
    assert run.diverged_at == 0 and len(run.losses) == 0 and run.recording is None


# -- Interrupts -----------------------------------------------------------------------------------


def interrupting_trace(at):
    """A trace function that raises KeyboardInterrupt at the ``at``-th line that bnlib runs."""
    left = [at]

    def trace(frame, event, arg):
        # In the restoring itself there is no safe place, and Python's contextlib shields nothing.
        names = {f.f_code.co_name for f in (frame, frame.f_back)}
        if names & {"as_it_was", "_leave"} or PACKAGE not in Path(frame.f_code.co_filename).parents:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("at", [*range(60, 700, 61), *range(1000, 4000, 700)])
def test_an_interrupt_anywhere_leaves_a_usable_network_and_the_losses(at):
    net = net_for("batch")
    trainer = Trainer(net, DATA, 0.1, 20, recorder=Recorder(DATA, every=2, probe_size=20))
    before = sys.gettrace()
    sys.settrace(interrupting_trace(at))
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.advance(60)
    finally:
        sys.settrace(before)
    assert net.training and all(layer.training for layer in net.layers)
    assert all(np.isfinite(v).all() for v in net.state_dict().values())
    so_far = trainer.run()
    assert len(so_far.losses) == trainer.step_count < 60
    trainer.advance(60 - trainer.step_count)
    run = trainer.run()
    assert len(run.losses) == 60 and run.losses[-10:].mean() < 0.8 * run.losses[0]
    assert run.losses[: len(so_far.losses)].tolist() == so_far.losses.tolist()
    steps = run.recording.steps
    assert steps[0] == 0 and steps[-1] == 60 and (np.diff(steps) > 0).all()
    assert run.recording.loss.shape == run.recording.accuracy.shape == steps.shape


def interrupted(draw):
    def then(count, x, labels):
        if count == draw:
            raise KeyboardInterrupt
        return x, labels

    return Watched(then)


def test_an_interrupt_carries_the_runs_so_far():
    net = net_for("batch")
    with pytest.raises(KeyboardInterrupt) as caught:
        compare({"a": net_for(), "b": net_for("batch")}, interrupted(13), 10, 0.1, 20)
    assert [len(run.losses) for run in caught.value.runs.values()] == [10, 3]
    with pytest.raises(KeyboardInterrupt) as caught:
        train(net, interrupted(7), 20, 0.1, 20, recorder=Recorder(DATA, every=3))
    run = caught.value.runs["net"]
    assert run.net is net and run.recording.steps.tolist() == [0, 3, 6]
    # The frame of the start has drawn a batch too.
    assert run.losses.tolist() == train(net_for("batch"), DATA, 6, 0.1, 20).losses.tolist()
    assert snapshot(net) == snapshot(train(net_for("batch"), DATA, 6, 0.1, 20).net)


# -- Recording leaves no trace --------------------------------------------------------------------


def test_a_run_is_the_same_with_and_without_a_recorder():
    plain = train(net_for("batch"), DATA, 10, 0.1, 20, seed=2)
    recorder = Recorder(DATA, every=3, probe_size=20, eval_size=20)
    recorded = train(net_for("batch"), DATA, 10, 0.1, 20, seed=2, recorder=recorder)
    assert snapshot(plain.net) == snapshot(recorded.net)
    assert np.array_equal(plain.losses, recorded.losses)
    assert recorded.recording.steps.tolist() == [0, 3, 6, 9]


# -- compare --------------------------------------------------------------------------------------


def test_compare_trains_each_network_on_the_same_batches_at_its_rate():
    networks = {"without BN": net_for(), "with BN": net_for("batch"), "lost": net_for()}
    rates = {"without BN": 0.1, "with BN": 0.5, "lost": 1e200}
    runs = compare(networks, DATA, 10, rates, 20, seed=5)
    assert list(runs) == list(networks) and runs["lost"].diverged_at is not None
    for name, norm in (("without BN", None), ("with BN", "batch")):
        alone = train(net_for(norm), DATA, 10, rates[name], 20, seed=5)
        assert np.array_equal(runs[name].losses, alone.losses)
        assert runs[name].net is networks[name]


def test_compare_refuses_a_different_start():
    with pytest.raises(ValueError, match="weight matrix 0 of 'a' and 'b' differ at the start"):
        compare({"a": net_for(seed=0), "b": net_for("batch", seed=1)}, DATA, 5, 0.1, 20)
    later = net_for()
    later.layers[2].weight[0, 0] += 1
    with pytest.raises(ValueError, match="weight matrix 1 of 'a' and 'b' differ"):
        compare({"a": net_for(), "b": later}, DATA, 5, 0.1, 20)
    normed = net_for("batch")
    normed.layers[1].gamma = 3.0  # no weight matrix
    compare({"a": net_for("batch"), "b": normed, "c": net_for()}, DATA, 1, 0.1, 20)


# -- Progress bar ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps, progress, shown",
    [(10, None, False), (10, True, True), (5000, None, True), (5000, False, False)],
)
def test_long_runs_get_a_bar(monkeypatch, capsys, steps, progress, shown):
    monkeypatch.setattr(Trainer, "_step", lambda self, batch: self.losses.append(0.0))
    monkeypatch.setattr(Trainer, "_draw", lambda self: None)
    train(net_for(), DATA, steps, 0.1, 20, progress=progress)
    err = capsys.readouterr().err
    assert ("training" in err and f"{steps}" in err) if shown else err == ""


def test_the_bar_stops_where_the_run_diverges(capsys):
    train(net_for(), poisoned(3), 50, 0.1, 20, progress=True)
    assert "3/50" in capsys.readouterr().err


# -- accuracy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_accuracy_uses_evaluation_mode_and_restores_the_mode(training):
    net = net_for("batch")
    net(DATA.batch(slice(0, 30))[0])
    x, labels = DATA.test_batch()
    expected = np.mean(net.eval()(x).argmax(axis=1) == labels)
    if training:
        net.train()
    before = snapshot(net)
    assert accuracy(net, x, labels) == expected
    assert net.training == training and snapshot(net) == before


def test_accuracy_counts_across_chunks():
    net = net_for()
    x = np.random.default_rng(0).random((2300, 12))
    labels = net(x).argmax(axis=1)
    assert accuracy(net, x, labels) == 1.0
    labels[::2] += 1
    assert accuracy(net, x, labels) == 0.5


X, Y = DATA.test_batch()


@pytest.mark.parametrize(
    "images, labels, error, message",
    [
        (X, Y[:, None], ValueError, r"labels \(N,\) with N >= 1, got .*\(60, 12\) and \(60, 1\)"),
        (X[:-1], Y, ValueError, r"got shapes \(59, 12\) and \(60,\)"),
        (X[:0], Y[:0], ValueError, r"N >= 1, got shapes \(0, 12\) and \(0,\)"),
        (X, Y.astype(float), TypeError, "integer labels, got float64"),
    ],
)
def test_accuracy_refuses_labels_that_do_not_go_with_the_images(images, labels, error, message):
    assert accuracy(net_for(), X, Y.tolist()) == accuracy(net_for(), X, Y)
    with pytest.raises(error, match=message):
        accuracy(net_for(), images, labels)


def test_compare_refuses_what_are_no_two_networks():
    net = net_for()
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"for each of \['a', 'b'\], got one of them twice"):
        compare({"a": net, "b": net}, DATA, 5, 0.1, 20)
    with pytest.raises(TypeError, match="dict of name -> network, got list"):
        compare([net, net_for()], DATA, 5, 0.1, 20)
    assert snapshot(net) == before
