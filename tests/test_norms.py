"""BatchNorm, the layer: modes, running statistics, parameters, state; then the other norms.

Every test takes the module as ``lib``, so that test_mutants.py can hand it a broken copy.
"""

import numpy as np
import pytest
from cases import (
    SHAPES,
    cases,
    close,
    given,
    make_case,
    per_channel,
    reference_backward,
    reference_forward,
)
from hypothesis import strategies as st

import bnlib.norms
from bnlib import functional
from bnlib.gradients import gradcheck
from bnlib.inference import fold_batchnorm
from bnlib.network import mlp
from bnlib.views import NonFiniteError


@pytest.fixture(scope="session")
def lib():
    return bnlib.norms


def layer_for(lib, case, **settings):
    """A BatchNorm with the gamma, beta, eps and dtype of the case."""
    bn = lib.BatchNorm(case.x.shape[1], eps=case.eps, dtype=case.x.dtype, **settings)
    if bn.affine:
        bn.gamma, bn.beta = case.gamma, case.beta
    return bn


def batch_statistics(x):
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes), x.var(axis=axes, ddof=1)


# -- Training mode --------------------------------------------------------------------------------


@given(case=cases())
def test_training_mode_normalises_with_the_batch(lib, case):
    bn = layer_for(lib, case)
    y = bn.forward(case.x)
    close(y, reference_forward(case.x, case.gamma, case.beta, case.eps)[0], 1e-10)
    dx = bn.backward(case.dy)
    expected = reference_backward(case.dy, case.x, case.gamma, case.eps)
    scale = np.abs(case.dy).sum() * max(1, np.abs(case.gamma / np.sqrt(case.eps)).max())
    for actual, wanted in zip((dx, bn.grads["gamma"], bn.grads["beta"]), expected):
        close(actual, wanted, 1e-10, scale=scale)


@given(case=cases(min_batch=2), momentum=st.sampled_from([0.0, 0.1, 0.25, 1.0]))
def test_running_statistics_follow_pytorch(lib, case, momentum):
    """The weight of the new batch is momentum; running_var keeps the unbiased variance."""
    bn = layer_for(lib, case, momentum=momentum)
    expected_mean, expected_var = np.zeros(bn.num_features), np.ones(bn.num_features)
    for step in range(3):
        x = case.x * (1 + step) + step
        bn.forward(x)
        mean, _, unbiased = batch_statistics(x)
        expected_mean = (1 - momentum) * expected_mean + momentum * mean
        expected_var = (1 - momentum) * expected_var + momentum * unbiased
    close(bn.running_mean, expected_mean, 1e-12, scale=10 + 10 * np.abs(case.x).max())
    close(bn.running_var, expected_var, 1e-10)
    assert bn.buffers["num_batches_tracked"] == 3


@given(case=cases(min_batch=2), batches=st.integers(1, 5))
def test_momentum_none_keeps_the_plain_average(lib, case, batches):
    bn = layer_for(lib, case, momentum=None)
    xs = [case.x * (1 + k) + k for k in range(batches)]
    for x in xs:
        bn.forward(x)
    means, _, unbiased = zip(*map(batch_statistics, xs))
    close(bn.running_mean, np.mean(means, axis=0), 1e-12, scale=10 + 10 * np.abs(case.x).max())
    close(bn.running_var, np.mean(unbiased, axis=0), 1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_running_variance_is_unbiased_over_the_batch_and_all_positions(lib, shape):
    case = make_case(shape)
    bn = layer_for(lib, case, momentum=1.0)
    bn.forward(case.x)
    biased, unbiased = batch_statistics(case.x)[1:]
    close(bn.running_var, unbiased, 1e-12)
    assert not np.allclose(bn.running_var, biased, rtol=1e-4)


def test_the_running_statistics_do_not_enter_the_training_output(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case)
    first = bn.forward(case.x)
    bn.running_mean, bn.running_var = 100.0, 50.0
    assert np.array_equal(bn.forward(case.x), first)


def test_the_running_statistics_do_not_share_memory_with_the_batch(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case, momentum=1.0)
    bn.forward(case.x)
    kept = bn.running_mean.copy()
    case.x[...] = 9
    assert np.array_equal(bn.running_mean, kept)


# -- Evaluation mode ------------------------------------------------------------------------------


@given(case=cases())
def test_evaluation_mode_uses_the_running_statistics(lib, case):
    bn = layer_for(lib, case)
    rng = np.random.default_rng(0)
    bn.running_mean = rng.normal(0, 2, bn.num_features)
    bn.running_var = rng.uniform(0.5, 3, bn.num_features)
    y = bn.eval().forward(case.x)
    mean, var = (per_channel(v, case.x) for v in (bn.running_mean, bn.running_var))
    expected = per_channel(case.gamma, y) * (case.x - mean) / np.sqrt(var + case.eps)
    close(y, expected + per_channel(case.beta, y), 1e-11)


@given(case=cases(), seed=st.integers(0, 99))
def test_in_evaluation_mode_the_batch_does_not_matter(lib, case, seed):
    bn = layer_for(lib, case)
    bn.forward(case.x)
    y = bn.eval().forward(case.x)
    order = np.random.default_rng(seed).permutation(len(case.x))
    close(bn.forward(case.x[order]), y[order], 1e-13)
    for i in range(min(3, len(case.x))):
        close(bn.forward(case.x[i : i + 1]), y[i : i + 1], 1e-13, scale=np.abs(y).max())


@given(case=cases(), dtype=st.sampled_from([np.float32, np.float64]))
def test_does_not_update_in_eval(lib, case, dtype):
    """Buffers and parameters stay identical, bit by bit."""
    bn = lib.BatchNorm(case.x.shape[1], dtype=dtype)
    x = case.x.astype(dtype)
    bn.forward(x)
    before = {name: v.tobytes() for name, v in bn.state_dict().items()}
    bn.eval().forward(3 * x + 1)
    assert {name: v.tobytes() for name, v in bn.state_dict().items()} == before
    bn.train().forward(3 * x + 1)
    assert bn.state_dict()["running_mean"].tobytes() != before["running_mean"]


def test_without_running_statistics_eval_uses_the_batch(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case, track_running_stats=False)
    assert bn.buffers == {} and bn.running_mean is None and bn.running_var is None
    trained = bn.forward(case.x)
    assert np.array_equal(bn.eval().forward(case.x), trained)
    assert sorted(bn.state_dict()) == ["bias", "weight"]


# -- Parameters -----------------------------------------------------------------------------------


def test_starts_at_gamma_1_beta_0_and_standard_running_statistics(lib):
    bn = lib.BatchNorm(3)
    assert bn.gamma.tolist() == [1, 1, 1] and bn.beta.tolist() == [0, 0, 0]
    assert bn.running_mean.tolist() == [0, 0, 0] and bn.running_var.tolist() == [1, 1, 1]
    assert (bn.eps, bn.momentum) == (1e-5, 0.1)
    assert all(v.dtype == np.float64 for v in (bn.params | bn.grads).values())


def test_without_affine_nothing_is_learned(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case, affine=False)
    assert bn.params == {} and bn.grads == {}
    close(
        bn.forward(case.x), reference_forward(case.x, np.ones(3), np.zeros(3), case.eps)[0], 1e-12
    )
    dx = bn.backward(case.dy)
    close(dx, reference_backward(case.dy, case.x, np.ones(3), case.eps)[0], 1e-11)
    assert sorted(bn.state_dict()) == ["num_batches_tracked", "running_mean", "running_var"]


def test_assignment_writes_into_the_arrays_that_are_there(lib):
    """An optimizer may hold views of them; a new array would part from those."""
    bn = lib.BatchNorm(3)
    names = ("gamma", "beta", "running_mean", "running_var")
    arrays = {name: getattr(bn, name) for name in names}
    for k, name in enumerate(names, start=2):
        setattr(bn, name, [k, k, k + 0.5])
        assert getattr(bn, name) is arrays[name]
        assert arrays[name].tolist() == [k, k, k + 0.5]
    bn.gamma = 4
    assert bn.gamma.tolist() == [4, 4, 4]
    with pytest.raises(ValueError, match=r"expected gamma of shape \(3,\), got \(2,\)"):
        bn.gamma = [1, 2]
    for name, value in (("running_var", -1), ("beta", np.nan), ("gamma", [1, np.inf, 1])):
        with pytest.raises(ValueError, match=f"{name}"):
            setattr(bn, name, value)
    with pytest.raises(TypeError, match="real numbers in gamma"):
        bn.gamma = "large"
    assert bn.gamma.tolist() == [4, 4, 4]
    with pytest.raises(AttributeError, match="no running statistics: track_running_stats=False"):
        lib.BatchNorm(3, track_running_stats=False).running_mean = 0


def test_gradients_replace_those_of_the_last_backward(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case)
    arrays = dict(bn.grads)
    for _ in range(2):
        bn.forward(case.x)
        bn.backward(case.dy)
    expected = reference_backward(case.dy, case.x, case.gamma, case.eps)
    close(bn.grads["gamma"], expected[1], 1e-11)
    close(bn.grads["beta"], expected[2], 1e-11)
    assert all(bn.grads[name] is arrays[name] for name in arrays)


@given(case=cases(dtype=np.float32, min_batch=2))
def test_float32_is_never_upcast(lib, case):
    bn = layer_for(lib, case)
    assert bn.forward(case.x).dtype == np.float32
    assert bn.backward(case.dy).dtype == np.float32
    assert bn.eval().forward(case.x).dtype == np.float32
    state = bn.state_dict()
    assert state.pop("num_batches_tracked").dtype == np.int64
    assert {v.dtype for v in (*state.values(), *bn.grads.values())} == {np.dtype(np.float32)}


def test_results_have_the_dtype_of_x(lib):
    x = make_case((5, 3), dtype=np.float32).x
    assert lib.BatchNorm(3).forward(x).dtype == np.float32
    assert lib.BatchNorm(3, dtype=np.float32).forward(x.astype(np.float64)).dtype == np.float64


# -- State ----------------------------------------------------------------------------------------


def test_state_dict_has_the_names_of_pytorch(lib):
    state = lib.BatchNorm(3).state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [v.shape for v in state.values()] == [(3,)] * 4 + [()]


def test_state_crosses_to_another_layer(lib):
    case = make_case((5, 3))
    bn = layer_for(lib, case)
    bn.forward(case.x)
    other = lib.BatchNorm(3, eps=case.eps)
    gamma = other.gamma
    other.load_state_dict(bn.state_dict())
    assert other.gamma is gamma
    assert np.array_equal(other.eval().forward(case.x), bn.eval().forward(case.x))
    state = bn.state_dict()
    state["weight"][...] = 77  # copies: the layer does not see this
    assert not (bn.gamma == 77).any()


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda s: s.pop("running_var"), KeyError, "'running_var'.* missing"),
        (lambda s: s.update(extra=1), KeyError, "does not know .'extra'"),
        (lambda s: s.update(weight=np.ones(4)), ValueError, r"weight of shape \(3,\), got \(4,\)"),
        (lambda s: s.update(bias=np.ones((3, 1))), ValueError, r"bias of shape \(3,\)"),
        (lambda s: s.update(running_mean=[1, np.nan, 1]), ValueError, "finite .* in running_mean"),
        (lambda s: s.update(running_var=-np.ones(3)), ValueError, "running_var >= 0, got -1"),
        (lambda s: s.update(running_var=1j * np.ones(3)), TypeError, "real numbers in running_var"),
        (lambda s: s.update(running_var="abc"), TypeError, "real numbers in running_var"),
        (lambda s: s.update(running_var=[[1], [2, 3]]), TypeError, "real numbers in running_var"),
        (lambda s: s.update(num_batches_tracked=None), TypeError, "numbers in num_batches_tracked"),
        (lambda s: s.update(num_batches_tracked=1e30), ValueError, "int64 can hold in num_batches"),
    ],
)
def test_a_bad_state_dict_changes_nothing(lib, change, error, message):
    bn = lib.BatchNorm(3)
    before = bn.state_dict()
    state = {name: v + 1 for name, v in before.items()}
    change(state)
    with pytest.raises(error, match=message):
        bn.load_state_dict(state)
    after = bn.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)


# -- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"num_features": 0}, ValueError, "num_features >= 1, a whole number, got 0"),
        ({"num_features": 2.0}, ValueError, "a whole number, got 2.0"),
        ({"num_features": "3"}, ValueError, "a whole number, got '3'"),
        ({"eps": -1e-5}, ValueError, "eps >= 0, a finite number, got -1e-05"),
        ({"eps": float("nan")}, ValueError, "eps >= 0, a finite number, got nan"),
        ({"eps": 1e-50, "dtype": np.float32}, ValueError, "eps that float32 can hold"),
        ({"momentum": -0.1}, ValueError, r"momentum in \[0, 1\] or None, .*, got -0.1"),
        ({"momentum": 1.5}, ValueError, "the weight of the new batch"),
        ({"momentum": float("nan")}, ValueError, "got nan"),
        ({"momentum": "0.1"}, ValueError, "got '0.1'"),
        ({"dtype": np.int64}, TypeError, "float32 or float64"),
        ({"dtype": np.float16}, TypeError, "float32 or float64"),
        ({"dtype": "double precision"}, TypeError, "float32 or float64"),
    ],
)
def test_bad_settings_are_refused(lib, settings, error, message):
    with pytest.raises(error, match=message):
        lib.BatchNorm(**{"num_features": 3} | settings)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    "shape, hint",
    [
        ((4, 32), "the batch is the first axis; did you mean x.T?"),
        ((8, 5, 5, 4), "the batch is the first axis; are the channels last?"),
        ((8, 5), "the batch is the first axis, the features or channels are the second"),
        ((4,), "the batch is the first axis"),
        ((), "the batch is the first axis"),
    ],
)
def test_a_wrong_shape_says_what_was_expected_and_the_likely_cause(lib, mode, shape, hint):
    bn = getattr(lib.BatchNorm(4), mode)()
    with pytest.raises(ValueError) as info:
        bn.forward(np.ones(shape))
    expected = f"BatchNorm(4) expected x of shape (N, 4) or (N, 4, ...), got {shape}: {hint}"
    assert str(info.value).startswith(expected)


@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1), (1, 4, 1, 1)])
def test_one_value_per_channel_is_refused_in_training_only(lib, shape):
    bn = lib.BatchNorm(4)
    with pytest.raises(ValueError, match=r"more than one value per channel, got x of shape .*eval"):
        bn.forward(np.ones(shape))
    assert bn.eval().forward(np.ones(shape)).shape == shape
    assert bn.buffers["num_batches_tracked"] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_batch_that_is_not_finite_is_refused_and_leaves_the_statistics_alone(lib, bad, mode):
    bn = getattr(lib.BatchNorm(3), mode)()
    x = np.random.default_rng(0).standard_normal((5, 3))
    x[2, 1] = bad
    before = bn.state_dict()
    with pytest.raises(NonFiniteError, match="in channel 1: has the network diverged"):
        bn.forward(x)
    after = bn.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_backward_needs_a_forward(lib):
    bn = lib.BatchNorm(3)
    with pytest.raises(RuntimeError, match=r"BatchNorm\(3\).backward expected .* forward first"):
        bn.backward(np.ones((4, 3)))


@given(case=cases(min_batch=2))
def test_backward_in_evaluation_mode_takes_the_statistics_as_constants(lib, case):
    """dx = gamma / sqrt(running_var + eps) * dy, for the statistics that forward saw."""
    bn = layer_for(lib, case)
    bn.forward(case.x)
    mean, var = bn.running_mean.copy(), bn.running_var.copy()
    bn.eval().forward(case.x)
    bn.running_mean, bn.running_var = 7, 9  # after forward: of no effect
    dx = bn.backward(case.dy)
    xhat = (case.x - per_channel(mean, case.x)) / np.sqrt(per_channel(var + case.eps, case.x))
    axes, inv_std = (0, *range(2, dx.ndim)), 1 / np.sqrt(var + case.eps)
    close(dx, per_channel(case.gamma * inv_std, dx) * case.dy, 1e-12)
    size = np.abs(case.dy * xhat).sum() + np.abs(case.dy).sum()
    close(bn.grads["gamma"], (case.dy * xhat).sum(axis=axes), 1e-11, scale=size)
    close(bn.grads["beta"], case.dy.sum(axis=axes), 1e-12, scale=size)
    assert bn.buffers["num_batches_tracked"] == 1


def test_float32_buffers_do_not_overflow(lib):
    """float64 data in a float32 layer: refused, and nothing has moved."""
    bn = lib.BatchNorm(2, dtype=np.float32)
    before = bn.state_dict()
    x = np.random.default_rng(0).standard_normal((5, 2)) * [1, 1e30]
    with pytest.raises(NonFiniteError, match=r"statistics in float32, .* beyond 3.4e"):
        bn.forward(x)
    assert all(np.array_equal(v, before[name]) for name, v in bn.state_dict().items())
    with pytest.raises(ValueError, match="finite numbers that float32 can hold in running_mean"):
        bn.running_mean = 1e300
    assert all(np.array_equal(v, before[name]) for name, v in bn.state_dict().items())
    assert np.isfinite(lib.BatchNorm(2).forward(x)).all()


def test_one_forward_serves_one_backward(lib):
    """What forward kept is as large as x, and is let go."""
    case = make_case((5, 3))
    bn = layer_for(lib, case)
    bn.forward(case.x)
    dx = bn.backward(case.dy)
    kept = dx.copy()
    with pytest.raises(RuntimeError, match="call forward first, once for each"):
        bn.backward(case.dy)
    bn.forward(case.x)
    close(bn.backward(case.dy), kept, 0, scale=1)
    assert np.array_equal(dx, kept)  # the first one stays as it was


# -- LayerNorm, RMSNorm, GroupNorm, InstanceNorm: the functions with parameters --------------------

SHAPE = (5, 6, 3, 4)
# name: how to make it with the settings, and its function with the layer's gamma, beta and eps
RELATIVES = {
    "LayerNorm": (
        lambda lib, **settings: lib.LayerNorm(4, **settings),
        lambda x, norm: functional.layer_norm(x, norm.gamma, norm.beta, norm.eps),
    ),
    "LayerNorm over two axes": (
        lambda lib, **settings: lib.LayerNorm((3, 4), **settings),
        lambda x, norm: functional.layer_norm(x, norm.gamma, norm.beta, norm.eps),
    ),
    "RMSNorm": (
        lambda lib, **settings: lib.RMSNorm(4, **settings),
        lambda x, norm: functional.rms_norm(x, norm.gamma, norm.eps),
    ),
    "GroupNorm": (
        lambda lib, **settings: lib.GroupNorm(2, 6, **settings),
        lambda x, norm: functional.group_norm(x, 2, norm.gamma, norm.beta, norm.eps),
    ),
    "InstanceNorm": (
        lambda lib, **settings: lib.InstanceNorm(6, **{"affine": True} | settings),
        lambda x, norm: functional.instance_norm(x, norm.gamma, norm.beta, norm.eps),
    ),
}
# and those that normalise with the batch
VARIANTS = {
    "GhostNorm": lambda lib, **settings: lib.GhostNorm(6, 2, **settings),
    "BatchRenorm": lambda lib, **settings: lib.BatchRenorm(6, warmup=1, **settings),
}
MAKE = {name: make for name, (make, _) in RELATIVES.items()} | VARIANTS
EACH = pytest.mark.parametrize("name", list(MAKE))


def batch(seed=0, dtype=np.float64, shape=SHAPE):
    """x and dy."""
    rng = np.random.default_rng(seed)
    return [a.astype(dtype) for a in (rng.normal(2, 3, shape), rng.standard_normal(shape))]


def learned(norm, seed=1):
    """The layer with other parameters than 1 and 0."""
    rng = np.random.default_rng(seed)
    for array in norm.params.values():
        array += rng.normal(0, 0.5, array.shape)
    return norm


@pytest.mark.parametrize("name", list(RELATIVES))
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_relative_is_its_function_in_both_modes(lib, name, mode):
    make, function = RELATIVES[name]
    norm, (x, dy) = learned(make(lib, eps=0.01)), batch()
    expected, cache = function(x, norm)
    assert np.array_equal(getattr(norm, mode)().forward(x), expected)
    backward = functional.rms_norm_backward if name == "RMSNorm" else functional.group_norm_backward
    gradients = backward(dy, cache)
    for _ in range(2):
        norm.forward(x)
        assert np.array_equal(norm.backward(dy), gradients[0])
        for grad, wanted in zip(norm.grads.values(), gradients[1:], strict=True):
            assert np.array_equal(grad, wanted)  # anew each time, not added up
    assert norm.buffers == {}


@EACH
def test_every_norm_has_the_parameters_and_names_of_pytorch(lib, name):
    norm, extra = MAKE[name](lib), ["running_mean", "running_var", "num_batches_tracked"]
    shape = {"LayerNorm": (4,), "LayerNorm over two axes": (3, 4), "RMSNorm": (4,)}.get(name, (6,))
    names = ["weight"] if name == "RMSNorm" else ["weight", "bias"]
    assert list(norm.state_dict()) == names + (extra if name in VARIANTS else [])
    assert {norm.state_dict()[n].shape for n in names} == {shape}
    assert (norm.gamma == 1).all() and (norm.beta is None or not norm.beta.any())
    x, _ = batch()
    other = learned(MAKE[name](lib))
    other.forward(x)
    norm.load_state_dict(other.state_dict())
    assert np.array_equal(norm.eval().forward(x), other.eval().forward(x))
    assert repr(norm) == repr(other) != ""
    gamma = norm.gamma
    norm.gamma = 3
    assert norm.gamma is gamma and (gamma == 3).all()
    with pytest.raises(ValueError, match=r"expected gamma of shape"):
        norm.gamma = np.ones(7)


@EACH
def test_without_affine_no_norm_learns(lib, name):
    norm, (x, dy) = MAKE[name](lib, affine=False), batch()
    with_affine = MAKE[name](lib)
    assert norm.params == norm.grads == {} and "weight" not in norm.state_dict()
    assert np.array_equal(norm.forward(x), with_affine.forward(x))
    assert np.array_equal(norm.backward(dy), with_affine.backward(dy))


def test_what_pytorch_fixes_is_fixed_here(lib):
    """InstanceNorm2d learns nothing by default; RMSNorm has no bias and its own eps."""
    assert lib.InstanceNorm(3).params == {} and lib.GroupNorm(1, 3).params != {}
    assert lib.RMSNorm(3).eps is None and lib.RMSNorm(3).beta is None
    with pytest.raises(AttributeError, match="this RMSNorm has no beta"):
        lib.RMSNorm(3).beta = 1
    defaults = (lib.LayerNorm(3), lib.GroupNorm(1, 3), lib.InstanceNorm(3), lib.GhostNorm(3))
    assert {norm.eps for norm in (*defaults, lib.BatchRenorm(3))} == {1e-5}


@EACH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_norm_keeps_its_dtype_and_takes_one_backward_a_forward(lib, name, dtype):
    norm, (x, dy) = MAKE[name](lib, dtype=dtype), batch(dtype=dtype)
    for _ in range(2):
        arrays = [norm.forward(x), norm.backward(dy), norm.eval().forward(x)]
        arrays += [*norm.train().params.values(), *norm.grads.values()]
        arrays += [b for n, b in norm.buffers.items() if "num" not in n]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    norm.backward(dy)
    with pytest.raises(RuntimeError, match=r"backward expected .* call forward first"):
        norm.backward(dy)


@EACH
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_no_norm_takes_another_shape_or_what_is_not_finite(lib, name, mode):
    norm, (x, dy) = getattr(MAKE[name](lib), mode)(), batch()
    norm.forward(x)
    before = norm.state_dict()
    moved = x.transpose(0, 3, 1, 2).copy()
    for bad in (moved, x[0, 0, 0, :3], np.ones((2, 7))):
        with pytest.raises(ValueError, match=r"Norm\(|Renorm\("):
            norm.forward(bad)
    with pytest.raises(TypeError, match="float32 or float64 array"):
        norm.forward(x.astype(int))
    x[3, 4, 1, 2] = np.nan  # in the second of two ghost batches
    with pytest.raises(NonFiniteError, match="in x, got NaN"):
        norm.forward(x)
    assert all(np.array_equal(v, before[n]) for n, v in norm.state_dict().items())
    norm.forward(batch()[0])
    for bad in (dy[:1], dy[:, :1], dy.ravel()):
        with pytest.raises(ValueError, match=r"dy of shape \(5, 6, 3, 4\), the shape of y"):
            norm.backward(bad)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda lib: lib.LayerNorm(0), ValueError, "LayerNorm expected normalized_shape >= 1"),
        (lambda lib: lib.RMSNorm((3, 0)), ValueError, "RMSNorm expected normalized_shape >= 1"),
        (lambda lib: lib.LayerNorm(()), ValueError, "normalized_shape >= 1, .* got ()"),
        (lambda lib: lib.LayerNorm(3, dtype=int), TypeError, "LayerNorm expected dtype float32"),
        (lambda lib: lib.RMSNorm(3, eps=-1), ValueError, "eps >= 0, a finite number, got -1"),
        (lambda lib: lib.GroupNorm(4, 6), ValueError, "divides the 6 channels, got 4"),
        (lambda lib: lib.GroupNorm(2, 0), ValueError, "GroupNorm expected num_channels >= 1"),
        (lambda lib: lib.InstanceNorm("3"), ValueError, "InstanceNorm expected num_features >= 1"),
        (lambda lib: lib.GhostNorm(3, 1), ValueError, "virtual_batch_size >= 2, a whole number"),
        (lambda lib: lib.GhostNorm(3, momentum=2), ValueError, r"GhostNorm expected momentum in"),
        (lambda lib: lib.BatchRenorm(3, r_max=0.5), ValueError, "r_max >= 1, got 0.5"),
        (lambda lib: lib.BatchRenorm(3, d_max=-1), ValueError, "d_max >= 0, got -1"),
        (lambda lib: lib.BatchRenorm(3, warmup=1.5), ValueError, "warmup >= 0, a whole number"),
    ],
)
def test_bad_settings_of_the_others_are_refused(lib, make, error, message):
    with pytest.raises(error, match=message):
        make(lib)


def test_a_shape_that_does_not_fit_layer_norm_has_a_likely_cause(lib):
    for shape, hint in (((4, 9), "x.T"), ((2, 4, 5, 5), "GroupNorm"), ((2, 9), "last axes")):
        expected = r"LayerNorm\(4\) expected x of shape \(\.\.\., 4\), got"
        with pytest.raises(ValueError, match=f"{expected} .*{hint}"):
            lib.LayerNorm(4).forward(np.ones(shape))


# -- GhostNorm ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[4, 4], [6, 5], [4, 4, 4], [7], [3]], ids=str)
def test_each_ghost_batch_is_a_batch_of_its_own(lib, parts):
    ghost, bn = learned(lib.GhostNorm(3, 4, eps=0.01)), learned(lib.BatchNorm(3, eps=0.01))
    x, dy = batch(shape=(sum(parts), 3, 2))
    y, dx = ghost.forward(x), ghost.backward(dy)
    start, total = 0, {name: np.zeros(3) for name in bn.grads}
    for size in parts:
        part = slice(start, start := start + size)
        close(y[part], bn.forward(x[part]), 1e-14)
        close(dx[part], bn.backward(dy[part]), 1e-13)
        for name, grad in bn.grads.items():
            total[name] += grad
    for name, grad in ghost.grads.items():
        close(grad, total[name], 1e-13)
    for name, buffer in bn.buffers.items():  # moved once by each ghost batch
        close(ghost.buffers[name], buffer, 1e-14)
    assert np.array_equal(ghost.eval().forward(x), bn.eval().forward(x))
    assert np.array_equal(ghost.backward(dy), bn.backward(dy))


# -- BatchRenorm ----------------------------------------------------------------------------------


def renorm_by_hand(x, gamma, beta, eps, mean, sigma, r_max, d_max, alpha):
    """Algorithm 1 of Ioffe 2017, channel by channel: y, the new mean and sigma, r, d."""
    y, new_mean, new_sigma, r, d = np.empty(x.shape), *np.empty((4, len(mean)))
    for c, values in enumerate(np.moveaxis(x, 1, 0)):
        mu_b = values.mean()
        sigma_b = np.sqrt(eps + ((values - mu_b) ** 2).mean())
        r[c] = min(max(sigma_b / sigma[c], 1 / r_max), r_max)
        d[c] = min(max((mu_b - mean[c]) / sigma[c], -d_max), d_max)
        y[:, c] = gamma[c] * ((values - mu_b) / sigma_b * r[c] + d[c]) + beta[c]
        new_mean[c] = mean[c] + alpha * (mu_b - mean[c])
        new_sigma[c] = sigma[c] + alpha * (sigma_b - sigma[c])
    return y, new_mean, new_sigma, r, d


@given(case=cases(min_batch=2), r_max=st.sampled_from([1.0, 1.1, 3.0]), d_max=st.floats(0, 5))
def test_renorm_is_the_algorithm_of_its_paper(lib, case, r_max, d_max):
    norm = lib.BatchRenorm(len(case.gamma), r_max, d_max, warmup=2, eps=case.eps)
    norm.gamma, norm.beta = case.gamma, case.beta
    mean, sigma = np.zeros(len(case.gamma)), np.sqrt(1 + case.eps) * np.ones(len(case.gamma))
    for step, relaxed in enumerate((0, 0.5, 1, 1)):
        x = case.x * (1 + step) + step
        limits = 1 + relaxed * (r_max - 1), relaxed * d_max
        y, mean, sigma, *_ = renorm_by_hand(
            x, case.gamma, case.beta, case.eps, mean, sigma, *limits, 0.1
        )
        close(norm.forward(x), y, 1e-10)
        close(norm.running_mean, mean, 1e-12, scale=10 + 10 * np.abs(case.x).max())
        close(np.sqrt(norm.running_var + case.eps), sigma, 1e-10)
    assert norm.buffers["num_batches_tracked"] == 4


def test_renorm_within_its_limits_gives_what_evaluation_mode_gives(lib):
    """What it is for: the same output in both modes, although the gradient knows the batch."""
    norm, (x, dy) = learned(lib.BatchRenorm(6, r_max=99, d_max=99, warmup=0, momentum=0)), batch()
    norm.running_mean, norm.running_var = np.arange(6.0), np.arange(1.0, 7)
    close(norm.forward(x), norm.eval().forward(x), 1e-13)
    norm.train().forward(x)
    dx = norm.backward(dy)
    close(dx.sum(axis=(0, 2, 3)), np.zeros(6), 1e-12, scale=np.abs(dy).sum())


@given(case=cases(min_batch=2))
def test_renorm_without_correction_is_batch_norm(lib, case):
    c = case.x.shape[1]
    for limits in ({"r_max": 1, "d_max": 0, "warmup": 0}, {"r_max": 3, "d_max": 5, "warmup": 9}):
        norm, bn = lib.BatchRenorm(c, eps=case.eps, **limits), lib.BatchNorm(c, eps=case.eps)
        for layer in (norm, bn):
            layer.gamma, layer.beta = case.gamma, case.beta
        close(norm.forward(case.x), bn.forward(case.x), 1e-13)
        close(norm.backward(case.dy), bn.backward(case.dy), 1e-13)
        for name, grad in norm.grads.items():
            close(grad, bn.grads[name], 1e-13)


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3)])
def test_the_gradient_of_renorm_takes_r_and_d_for_constants(lib, shape):
    """Differences agree where r and d are at their limits, so that they are constant."""
    x = np.random.default_rng(0).normal(2, 3, shape)
    norm = lib.BatchRenorm(shape[1], r_max=1.5, d_max=0.7, warmup=0, momentum=0, eps=0.1)
    norm.running_mean, norm.running_var = -50.0, 1e-3

    def forward(x, gamma, beta):
        norm.gamma, norm.beta = gamma, beta
        return norm.forward(x)

    def backward(dy):
        return {"x": norm.backward(dy), "gamma": norm.grads["gamma"], "beta": norm.grads["beta"]}

    gamma, beta = np.linspace(-1, 2, shape[1]), np.linspace(3, 1, shape[1])
    report = gradcheck(forward, backward, {"x": x, "gamma": gamma, "beta": beta}, tol=1e-7)
    assert report.passed, report


def test_renorm_folds_as_batch_norm_does(lib):
    net = mlp([6, 8, 3], "renorm", seed=1)
    x = batch(shape=(40, 6))[0]
    net(x)
    close(fold_batchnorm(net)(x), net.eval()(x), 1e-12)
