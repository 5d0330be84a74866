"""The normalization layers: running statistics, parameters, modes, settings.

Their numbers: test_against_torch.py. What they share with all layers: test_layers.py.
"""

import numpy as np
import pytest
from cases import cases, check_gradients, close, given, make_case, snapshot
from hypothesis import strategies as st

import bnlib
from bnlib import BatchNorm, BatchRenorm, GhostNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bnlib.views import NonFiniteError

X = np.random.default_rng(0).normal(2, 3, (5, 6, 3, 4))
DY = np.random.default_rng(1).standard_normal(X.shape)
NORMS = {  # each for X
    "BatchNorm": lambda **settings: BatchNorm(6, **settings),
    "LayerNorm": lambda **settings: LayerNorm(4, **settings),
    "LayerNorm over two axes": lambda **settings: LayerNorm((3, 4), **settings),
    "RMSNorm": lambda **settings: RMSNorm(4, **settings),
    "GroupNorm": lambda **settings: GroupNorm(2, 6, **settings),
    "InstanceNorm": lambda **settings: InstanceNorm(6, **{"affine": True} | settings),
    "GhostNorm": lambda **settings: GhostNorm(6, 2, **settings),
    "BatchRenorm": lambda **settings: BatchRenorm(6, warmup=1, **settings),
}
EACH = pytest.mark.parametrize("name", NORMS)
MODES = pytest.mark.parametrize("mode", ["train", "eval"])


def learned(norm, seed=1):
    """The layer with other parameters than 1 and 0."""
    rng = np.random.default_rng(seed)
    for array in norm.params.values():
        array += rng.normal(0, 0.5, array.shape)
    return norm


# -- All of them ----------------------------------------------------------------------------------


@EACH
def test_without_affine_no_norm_learns(name):
    norm, with_affine = NORMS[name](affine=False), NORMS[name]()
    assert norm.params == norm.grads == {} and "weight" not in norm.state_dict()
    assert np.array_equal(norm.forward(X), with_affine.forward(X))
    assert np.array_equal(norm.backward(DY), with_affine.backward(DY))


@EACH
def test_assignment_writes_into_the_arrays_that_are_there(name):
    """An optimizer may hold views of them; a new array would part from those."""
    norm = NORMS[name]()
    for attribute in ("gamma", "beta", "running_mean", "running_var"):
        array = getattr(norm, attribute, None)
        if array is None:
            continue
        assert (array == (attribute in ("gamma", "running_var"))).all()  # what they start at
        setattr(norm, attribute, 2 * array + 3)
        setattr(norm, attribute, 4)
        assert getattr(norm, attribute) is array and (array == 4).all()
        with pytest.raises(ValueError, match=rf"expected {attribute} of shape .*, got \(7,\)"):
            setattr(norm, attribute, np.ones(7))
        with pytest.raises(ValueError, match=f"finite numbers .* in {attribute}"):
            setattr(norm, attribute, np.nan)
        with pytest.raises(TypeError, match=f"real numbers in {attribute}"):
            setattr(norm, attribute, "large")
        assert (array == 4).all()


@EACH
def test_results_have_the_dtype_of_x(name):
    assert NORMS[name]().forward(X.astype(np.float32)).dtype == np.float32
    assert NORMS[name](dtype=np.float32).forward(X).dtype == np.float64


@EACH
@MODES
def test_no_norm_takes_another_shape_or_what_is_not_finite(name, mode):
    norm = getattr(NORMS[name](), mode)()
    norm.forward(X)
    before = snapshot(norm)
    for bad in (X.transpose(0, 3, 1, 2).copy(), X[0, 0, 0, :3], np.ones((2, 7))):
        with pytest.raises(ValueError, match=r"Norm\(|Renorm\("):
            norm.forward(bad)
    for bad in (np.nan, np.inf):
        x = X.copy()
        x[3, 4, 1, 2] = bad  # in the second of two ghost batches
        with pytest.raises(NonFiniteError, match=r"in x, got NaN.*has the network diverged"):
            norm.forward(x)
    assert snapshot(norm) == before


def test_defaults_are_those_of_pytorch():
    """InstanceNorm2d learns nothing by default; RMSNorm has no bias and its own eps."""
    assert InstanceNorm(3).params == {} and GroupNorm(1, 3).params != {}
    assert RMSNorm(3).eps is None and RMSNorm(3).beta is None
    with pytest.raises(AttributeError, match="this RMSNorm has no beta"):
        RMSNorm(3).beta = 1
    of_batch = BatchNorm(3), GhostNorm(3), BatchRenorm(3)
    others = LayerNorm(3), GroupNorm(1, 3), InstanceNorm(3)
    assert {norm.eps for norm in (*of_batch, *others)} == {1e-5}
    assert {norm.momentum for norm in of_batch} == {0.1}


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: BatchNorm(0), ValueError, "BatchNorm expected num_features >= 1, .*, got 0"),
        (lambda: BatchNorm(3, eps=-1e-5), ValueError, "eps >= 0, a finite number, got -1e-05"),
        (lambda: BatchNorm(3, eps=1e-50, dtype=np.float32), ValueError, "eps that float32 can"),
        (lambda: BatchNorm(3, momentum=1.5), ValueError, r"momentum in \[0, 1\] or None, .*got 1"),
        (lambda: BatchNorm(3, momentum="0.1"), ValueError, "got '0.1'"),
        (lambda: BatchNorm(3, dtype=np.float16), TypeError, "float32 or float64"),
        (lambda: BatchNorm(3, dtype="double precision"), TypeError, "float32 or float64"),
        (lambda: LayerNorm(0), ValueError, "LayerNorm expected normalized_shape >= 1"),
        (lambda: RMSNorm((3, 0)), ValueError, "RMSNorm expected normalized_shape >= 1"),
        (lambda: LayerNorm(()), ValueError, "normalized_shape >= 1, .* got ()"),
        (lambda: LayerNorm(3, eps=None), ValueError, "eps >= 0, a finite number, got None"),
        (lambda: LayerNorm(3, dtype=int), TypeError, "LayerNorm expected dtype float32"),
        (lambda: GroupNorm(4, 6), ValueError, "divides the 6 channels, got 4"),
        (lambda: GroupNorm(2, 0), ValueError, "GroupNorm expected num_channels >= 1"),
        (lambda: InstanceNorm("3"), ValueError, "InstanceNorm expected num_features >= 1"),
        (lambda: GhostNorm(3, 1), ValueError, "virtual_batch_size >= 2, a whole number"),
        (lambda: GhostNorm(3, momentum=2), ValueError, r"GhostNorm expected momentum in"),
        (lambda: BatchRenorm(3, r_max=0.5), ValueError, "r_max >= 1, got 0.5"),
        (lambda: BatchRenorm(3, d_max=-1), ValueError, "d_max >= 0, got -1"),
        (lambda: BatchRenorm(3, warmup=1.5), ValueError, "warmup >= 0, a whole number"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@MODES
@pytest.mark.parametrize(
    "norm, shape, hint",
    [
        (BatchNorm, (4, 32), r"the batch is the first axis; did you mean x\.T\?"),
        (BatchNorm, (8, 5, 5, 4), r"the batch is the first axis; are the channels last\?"),
        (BatchNorm, (8, 5), "the batch is the first axis, the features or channels are the second"),
        (BatchNorm, (4,), "the batch is the first axis"),
        (LayerNorm, (4, 9), r"did you mean x\.T"),
        (LayerNorm, (2, 4, 5, 5), r"for one gamma a channel of images, use GroupNorm\(1, C\)"),
        (LayerNorm, (2, 9), "it normalises over the last axes"),
    ],
)
def test_a_wrong_shape_says_what_was_expected_and_the_likely_cause(norm, mode, shape, hint):
    expected = r"\(N, 4\) or \(N, 4, \.\.\.\)" if norm is BatchNorm else r"\(\.\.\., 4\)"
    with pytest.raises(
        ValueError, match=rf"\(4\) expected x of shape {expected}, got .*: .*{hint}"
    ):
        getattr(norm(4), mode)().forward(np.ones(shape))


# -- BatchNorm's running statistics ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["BatchNorm", "GhostNorm", "BatchRenorm"])
@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_momentum_is_the_weight_of_the_new_batch_at_its_limits_too(name, momentum):
    norm, before = NORMS[name](momentum=momentum), NORMS[name]()
    x = X[:2].copy()
    norm.forward(x)
    x[...] = 9  # the statistics do not share memory with the batch
    assert norm.buffers["num_batches_tracked"] == 1
    mean, var = X[:2].mean(axis=(0, 2, 3)), X[:2].var(axis=(0, 2, 3), ddof=name != "BatchRenorm")
    close(norm.running_mean, mean if momentum else before.running_mean, 1e-12, scale=1)
    close(norm.running_var, var if momentum else before.running_var, 1e-12)


def test_the_running_statistics_do_not_enter_the_training_output():
    bn = BatchNorm(6)
    first = bn.forward(X)
    bn.running_mean, bn.running_var = 100.0, 50.0
    assert np.array_equal(bn.forward(X), first)


def test_without_running_statistics_eval_uses_the_batch():
    bn = BatchNorm(6, track_running_stats=False)
    assert bn.buffers == {} and bn.running_mean is None and bn.running_var is None
    trained = bn.forward(X)
    assert np.array_equal(bn.eval().forward(X), trained)
    assert sorted(bn.state_dict()) == ["bias", "weight"]
    with pytest.raises(AttributeError, match="no running statistics: track_running_stats=False"):
        bn.running_mean = 0


def test_backward_in_evaluation_mode_takes_the_statistics_that_forward_saw():
    bn = learned(BatchNorm(6))
    bn.forward(X)
    slope = bn.gamma / np.sqrt(bn.running_var + bn.eps)
    bn.eval().forward(X)
    bn.running_mean, bn.running_var = 7, 9  # after forward: of no effect
    close(bn.backward(DY), slope[:, None, None] * DY, 1e-12)
    assert bn.buffers["num_batches_tracked"] == 1


@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1), (1, 4, 1, 1)])
def test_one_value_per_channel_is_refused_in_training_only(shape):
    bn = BatchNorm(4)
    with pytest.raises(ValueError, match=r"more than one value per channel, got x of shape .*eval"):
        bn.forward(np.ones(shape))
    assert bn.eval().forward(np.ones(shape)).shape == shape
    assert bn.buffers["num_batches_tracked"] == 0


def test_float32_buffers_do_not_overflow():
    """float64 data in a float32 layer: refused, and nothing has moved."""
    bn = BatchNorm(2, dtype=np.float32)
    before = snapshot(bn)
    x = np.random.default_rng(0).standard_normal((5, 2)) * [1, 1e30]
    with pytest.raises(NonFiniteError, match=r"statistics in float32, .* beyond 3.4e"):
        bn.forward(x)
    with pytest.raises(ValueError, match="finite numbers that float32 can hold in running_mean"):
        bn.running_mean = 1e300
    assert snapshot(bn) == before
    assert np.isfinite(BatchNorm(2).forward(x)).all()


# -- GhostNorm ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[4, 4], [6, 5], [4, 4, 4], [7], [3]], ids=str)
def test_each_ghost_batch_is_a_batch_of_its_own(parts):
    ghost, bn = learned(GhostNorm(3, 4, eps=0.01)), learned(BatchNorm(3, eps=0.01))
    x, dy = np.random.default_rng(0).normal(1, 2, (2, sum(parts), 3, 2))
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


def test_a_ghost_batch_that_fails_leaves_the_batch_before_for_backward():
    ghost, x = GhostNorm(3, 2), np.random.default_rng(0).standard_normal((6, 3))
    ghost.forward(x)
    before = snapshot(ghost), ghost.last_batch
    bad = np.vstack([x[:3], np.full((2, 3), np.nan)])
    with pytest.raises(NonFiniteError):
        ghost.forward(bad)  # its first ghost batch is sound, and larger
    assert (snapshot(ghost), ghost.last_batch) == before
    assert np.isfinite(ghost.backward(x)).all()


# -- BatchRenorm ----------------------------------------------------------------------------------


def renorm_by_hand(x, gamma, beta, eps, mean, sigma, r_max, d_max, alpha):
    """Algorithm 1 of Ioffe 2017, channel by channel: y, the new mean and sigma."""
    y, new_mean, new_sigma = np.empty(x.shape), *np.empty((2, len(mean)))
    for c, values in enumerate(np.moveaxis(x, 1, 0)):
        mu_b = values.mean()
        sigma_b = np.sqrt(eps + ((values - mu_b) ** 2).mean())
        r = min(max(sigma_b / sigma[c], 1 / r_max), r_max)
        d = min(max((mu_b - mean[c]) / sigma[c], -d_max), d_max)
        y[:, c] = gamma[c] * ((values - mu_b) / sigma_b * r + d) + beta[c]
        new_mean[c] = mean[c] + alpha * (mu_b - mean[c])
        new_sigma[c] = sigma[c] + alpha * (sigma_b - sigma[c])
    return y, new_mean, new_sigma


@given(
    case=cases(["batch_norm"], sizes=(2, 3, 17)),
    r_max=st.sampled_from([1.0, 1.1, 3.0]),
    d_max=st.floats(0, 5),
)
def test_renorm_is_the_algorithm_of_its_paper(case, r_max, d_max):
    norm = BatchRenorm(len(case.gamma), r_max, d_max, warmup=2, eps=case.eps)
    norm.gamma, norm.beta = case.gamma, case.beta
    mean, sigma = np.zeros(len(case.gamma)), np.sqrt(1 + case.eps) * np.ones(len(case.gamma))
    for step, relaxed in enumerate((0, 0.5, 1, 1)):
        x = case.x * (1 + step) + step
        limits = 1 + relaxed * (r_max - 1), relaxed * d_max
        y, mean, sigma = renorm_by_hand(
            x, case.gamma, case.beta, case.eps, mean, sigma, *limits, 0.1
        )
        close(norm.forward(x), y, 1e-10)
        close(norm.running_mean, mean, 1e-12, scale=10 + 10 * np.abs(case.x).max())
        close(np.sqrt(norm.running_var + case.eps), sigma, 1e-10)
    assert norm.buffers["num_batches_tracked"] == 4


def test_renorm_within_its_limits_gives_what_evaluation_mode_gives():
    """What it is for: the same output in both modes, although the gradient knows the batch."""
    norm = learned(BatchRenorm(6, r_max=99, d_max=99, warmup=0, momentum=0))
    norm.running_mean, norm.running_var = np.arange(6.0), np.arange(1.0, 7)
    close(norm.forward(X), norm.eval().forward(X), 1e-13)
    norm.train().forward(X)
    dx = norm.backward(DY)
    close(dx.sum(axis=(0, 2, 3)), np.zeros(6), 1e-12, scale=np.abs(DY).sum())


@pytest.mark.parametrize("limits", [{"r_max": 1, "d_max": 0, "warmup": 0}, {"warmup": 9}])
def test_renorm_without_correction_is_batch_norm(limits):
    case = make_case()
    norm, bn = BatchRenorm(4, **limits), BatchNorm(4)
    for layer in (norm, bn):
        layer.gamma, layer.beta = case.gamma, case.beta
    close(norm.forward(case.x), bn.forward(case.x), 1e-13)
    close(norm.backward(case.dy), bn.backward(case.dy), 1e-13)
    for name, grad in norm.grads.items():
        close(grad, bn.grads[name], 1e-13)


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3)])
def test_the_gradient_of_renorm_takes_r_and_d_for_constants(shape):
    """Differences agree where r and d are at their limits, so that they are constant."""
    x = np.random.default_rng(0).normal(2, 3, shape)
    norm = BatchRenorm(shape[1], r_max=1.5, d_max=0.7, warmup=0, momentum=0, eps=0.1)
    norm.running_mean, norm.running_var = -50.0, 1e-3
    check_gradients(learned(norm), x, tol=1e-7)


def test_renorm_folds_as_batch_norm_does():
    net, x = bnlib.mlp([6, 8, 3], "renorm", seed=1), X[..., 0, 0]
    net(x)
    close(bnlib.fold_batchnorm(net)(x), net.eval()(x), 1e-12)
