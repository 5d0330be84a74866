"""Wrong implementations of bnlib.functional and bnlib.norms, each with the tests that must notice.

A mutant is a function, or a subclass of BatchNorm, that is wrong in one way and takes the place of
the right one. It says what is computed, not how the source is written, so the code can be rewritten
without touching this file.
"""

from __future__ import annotations

import importlib.util
import types
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import test_functional as tf
import test_norms as tn

import bnlib.functional as right
import bnlib.norms
from bnlib.views import row_sum

TINY = 1e-300


@dataclass(frozen=True)
class Mutant:
    name: str
    replaces: str
    wrong: Callable
    killed_by: tuple

    def build(self) -> types.ModuleType:
        """A fresh copy of the module in which the wrong function stands for the right one."""
        copy = fresh_copy(bnlib.norms if self.replaces == "BatchNorm" else right)
        assert hasattr(copy, self.replaces)
        setattr(copy, self.replaces, self.wrong)
        return copy


def fresh_copy(module: types.ModuleType) -> types.ModuleType:
    """The module once more: its functions see what is replaced in the copy, and only there."""
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_copy", module.__file__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


MUTANTS: list[Mutant] = []


def mutant(replaces, *killed_by, name=None):
    """Decorator: the function below is wrong; its docstring says how."""

    def register(wrong):
        MUTANTS.append(Mutant(name or wrong.__doc__.strip(), replaces, wrong, killed_by))
        return wrong

    return register


def with_rows(formula):
    """A wrong `batch_norm` that computes y as formula(centred, var, gamma, beta, eps)."""

    def batch_norm(x, gamma, beta, eps=1e-5):
        _, cache = right.batch_norm(x, gamma, beta, eps)
        var, gamma, beta = (np.asarray(v)[:, None] for v in (cache.var, gamma, beta))
        y = formula(cache.centred, var, gamma, beta, eps)
        return right.restore(y.astype(x.dtype), x.shape, cache.axes), cache

    return batch_norm


def changed_gradients(change):
    """A wrong `batch_norm_backward`: change(dx, dgamma, dbeta, dy, cache) of the right one."""

    def batch_norm_backward(dy, cache):
        return change(*right.batch_norm_backward(dy, cache), dy, cache)

    return batch_norm_backward


def changed_projection(formula):
    """A wrong `project`: formula(dy, xhat, m) for dx; the two sums are right."""

    def project(dy, centred, inv_std):
        _, along_one, along_xhat = right.project(dy, centred, inv_std)
        return formula(dy, centred * inv_std, dy.shape[1]), along_one, along_xhat

    return project


# -- statistics -----------------------------------------------------------------------------------


@mutant("statistics", tf.test_forward_equals_the_definition, tf.test_a_batch_worked_out_by_hand)
def _(x):
    """variance divided by m - 1"""
    mean, var, centred = right.statistics(x)
    return mean, var * x.shape[1] / (x.shape[1] - 1), centred


@mutant("statistics", tf.test_float32_survives_a_large_mean)
def _(x):
    """one-pass variance"""
    mean, _, centred = right.statistics(x)
    return mean, np.maximum(row_sum(x * x) / x.shape[1] - mean**2, 0), centred


@mutant("statistics", tf.test_forward_equals_the_definition, tf.test_statistics_of_each_row)
def _(x):
    """variance around 0"""
    mean, _, centred = right.statistics(x)
    return mean, row_sum(x * x) / x.shape[1], centred


@mutant("statistics", tf.test_statistics_of_each_row)
def _(x):
    """standard deviation for variance"""
    mean, var, centred = right.statistics(x)
    return mean, np.sqrt(var), centred


@mutant("statistics", tf.test_statistics_of_each_row, tf.test_channels_do_not_mix)
def _(x):
    """one mean and variance for all rows"""
    mean, var, centred = np.full((len(x), 1), x.mean()), np.full((len(x), 1), x.var()), x - x.mean()
    return mean, var, centred


@mutant("statistics", tf.test_arguments_are_left_alone)
def _(x):
    """x centred in place"""
    mean, var, centred = right.statistics(x)
    x -= mean
    return mean, var, centred


@mutant("statistics", tf.test_float32_stays_float32)
def _(x):
    """float64 statistics of a float32 batch"""
    return right.statistics(x.astype(np.float64))


# -- batch_norm -----------------------------------------------------------------------------------

FORWARD = {
    "eps outside the root": (
        lambda c, v, g, b, eps: g * c / (np.sqrt(v) + eps) + b,
        tf.test_forward_equals_the_definition,
    ),
    "eps squared": (
        lambda c, v, g, b, eps: g * c / np.sqrt(v + eps**2) + b,
        tf.test_a_batch_worked_out_by_hand,
    ),
    "eps fixed at its default": (
        lambda c, v, g, b, eps: g * c / np.sqrt(v + 1e-5) + b,
        tf.test_y_does_not_see_scale_and_shift_of_x,
    ),
    "eps forgotten": (
        lambda c, v, g, b, eps: g * c / np.sqrt(v + TINY) + b,
        tf.test_a_constant_channel_becomes_beta_with_finite_gradients,
    ),
    "divided by the variance": (
        lambda c, v, g, b, eps: g * c / (v + eps) + b,
        tf.test_each_channel_gets_mean_beta_and_the_spread_gamma,
    ),
    "gamma left out": (
        lambda c, v, g, b, eps: c / np.sqrt(v + eps) + b,
        tf.test_forward_equals_the_definition,
    ),
    "only the size of gamma": (
        lambda c, v, g, b, eps: abs(g) * c / np.sqrt(v + eps) + b,
        tf.test_forward_equals_the_definition,
    ),
    "beta left out": (
        lambda c, v, g, b, eps: g * c / np.sqrt(v + eps),
        tf.test_each_channel_gets_mean_beta_and_the_spread_gamma,
    ),
    "beta scaled by gamma": (
        lambda c, v, g, b, eps: g * (c / np.sqrt(v + eps) + b),
        tf.test_a_batch_worked_out_by_hand,
    ),
}
for _name, (_formula, *_tests) in FORWARD.items():
    mutant("batch_norm", *_tests, name=_name)(with_rows(_formula))


@mutant(
    "batch_norm",
    tf.test_backward_equals_the_chain_rule_in_stages,
    tf.test_results_do_not_share_memory_with_what_the_caller_may_change,
)
def _(x, gamma, beta, eps=1e-5):
    """y shares the memory of the cache"""
    y, cache = right.batch_norm(x, gamma, beta, eps)
    cache.centred[...] = right.channels_view(y, cache.axes)
    return right.restore(cache.centred, x.shape, cache.axes), cache


@mutant("batch_norm", tf.test_forward_equals_the_definition)
def _(x, gamma, beta, eps=1e-5):
    """a single example refused although it has positions"""
    if len(x) < 2:
        raise ValueError("more than one example")
    return right.batch_norm(x, gamma, beta, eps)


@mutant("batch_norm", tf.test_bad_x_is_refused)
def _(x, gamma, beta, eps=1e-5):
    """whatever has numbers is accepted"""
    return right.batch_norm(np.resize(np.asarray(x, float), (4, 3)), gamma, beta, eps)


# -- What the functions are built of --------------------------------------------------------------


@mutant("check_divisible", tf.test_bad_x_is_refused, tf.test_a_variance_of_0_needs_eps)
def _(x, mean, var, eps):
    """one value a channel, or a variance of 0, accepted"""


@mutant("check_finite", tf.test_nan_or_infinity_anywhere_in_x_is_refused)
def _(shows, y, **inputs):
    """NaN let through"""


@mutant("check_finite", tf.test_an_overflowing_variance_is_refused)
def _(shows, y, **inputs):
    """overflow let through"""
    if not all(np.isfinite(v).all() for v in inputs.values()):
        right.check_finite(shows, y, **inputs)


@mutant("check_gradient", tf.test_dy_of_the_wrong_shape_is_refused)
def _(dy, shape, dtype):
    """dy of another shape broadcast"""
    return np.broadcast_to(dy, shape) if np.size(dy) < 5 else np.resize(dy, shape)


@mutant("channels_view", tf.test_channels_do_not_mix, tf.test_gradients_agree_with_differences)
def _(x, axes=None):
    """channels taken from the last axis"""
    return x.reshape(-1, x.shape[1]).T


# -- project and batch_norm_backward --------------------------------------------------------------

PROJECTIONS = {
    "statistics taken as constants": (
        lambda dy, xhat, m: dy.copy(),
        tf.test_gradients_agree_with_differences,
        tf.test_two_examples_get_almost_no_gradient,
    ),
    "term of the mean left out": (
        lambda dy, xhat, m: dy - xhat * row_sum(dy * xhat) / m,
        tf.test_dx_sums_to_zero_over_the_batch,
    ),
    "term of the variance left out": (
        lambda dy, xhat, m: dy - row_sum(dy) / m,
        tf.test_dx_along_xhat_is_what_eps_leaves_of_it,
        tf.test_backward_equals_the_chain_rule_in_stages,
    ),
    "sign of the variance term": (
        lambda dy, xhat, m: dy - row_sum(dy) / m + xhat * row_sum(dy * xhat) / m,
        tf.test_dx_along_xhat_is_what_eps_leaves_of_it,
    ),
    "variance term divided by m - 1": (
        lambda dy, xhat, m: dy - row_sum(dy) / m - xhat * row_sum(dy * xhat) / (m - 1),
        tf.test_backward_equals_the_chain_rule_in_stages,
    ),
    "projected in place": (
        lambda dy, xhat, m: np.subtract(
            dy, row_sum(dy) / m + xhat * row_sum(dy * xhat) / m, out=dy
        ),
        tf.test_arguments_are_left_alone,
    ),
}
for _name, (_formula, *_tests) in PROJECTIONS.items():
    mutant("project", *_tests, name=_name)(changed_projection(_formula))


def column(v, dx):
    return np.reshape(v, (-1,) + (1,) * (dx.ndim - 2))


BACKWARD = {
    "dx without gamma": (
        lambda dx, dg, db, dy, cache: (dx / column(cache.gamma, dx), dg, db),
        tf.test_gradients_agree_with_differences,
    ),
    "dx without 1 / std": (
        lambda dx, dg, db, dy, cache: (dx / column(cache.inv_std, dx), dg, db),
        tf.test_y_does_not_see_scale_and_shift_of_x,
    ),
    "dx is zero": (
        lambda dx, dg, db, dy, cache: (0 * dx, dg, db),
        tf.test_backward_equals_the_chain_rule_in_stages,
        tf.test_gradients_agree_with_differences,
    ),
    "dgamma and dbeta swapped": (
        lambda dx, dg, db, dy, cache: (dx, db, dg),
        tf.test_a_batch_worked_out_by_hand,
    ),
    "dgamma from the centred input": (
        lambda dx, dg, db, dy, cache: (dx, dg / cache.inv_std[:, 0], db),
        tf.test_gradients_agree_with_differences,
    ),
    "dgamma and dbeta averaged instead of summed": (
        lambda dx, dg, db, dy, cache: (dx, dg / len(dy), db / len(dy)),
        tf.test_gradients_agree_with_differences,
    ),
    "m counts examples only": (
        lambda dx, dg, db, dy, cache: (dx - column(cache.gamma * db, dx) / len(dy), dg, db),
        tf.test_a_constant_upstream_gradient_gives_zero,
    ),
}
for _name, (_change, *_tests) in BACKWARD.items():
    mutant("batch_norm_backward", *_tests, name=_name)(changed_gradients(_change))


@mutant(
    "batch_norm_backward", tf.test_arguments_are_left_alone, tf.test_the_gradient_is_linear_in_dy
)
def _(dy, cache):
    """the cache spent"""
    gradients = right.batch_norm_backward(dy, cache)
    cache.centred[...] = 0
    return gradients


@mutant("batch_norm_backward", tf.test_mixed_layouts_of_x_and_dy_give_the_same_numbers)
def _(dy, cache):
    """dy in its own memory order"""
    return right.batch_norm_backward(dy, cache._replace(axes=right.row_order(dy)))


# -- Inference ------------------------------------------------------------------------------------


def batch_axes(x):
    return (0, *range(2, x.ndim))


INFERENCE = {
    "centres with the batch": (
        lambda x, g, b, mean, var, eps: (x, g, b, x.mean(axis=batch_axes(x)), var, eps),
        tf.test_inference_treats_each_example_alone,
    ),
    "scales with the batch": (
        lambda x, g, b, mean, var, eps: (x, g, b, mean, x.var(axis=batch_axes(x)), eps),
        tf.test_inference_treats_each_example_alone,
    ),
    "does not centre": (
        lambda x, g, b, mean, var, eps: (x, g, b, 0 * mean, var, eps),
        tf.test_inference_with_the_batch_statistics_equals_training,
    ),
    "takes var for a standard deviation": (
        lambda x, g, b, mean, var, eps: (x, g, b, mean, var**2, eps),
        tf.test_inference_is_the_affine_map_of_the_given_statistics,
    ),
    "without gamma": (
        lambda x, g, b, mean, var, eps: (x, np.ones_like(g), b, mean, var, eps),
        tf.test_inference_is_the_affine_map_of_the_given_statistics,
    ),
    "a negative variance let through": (
        lambda x, g, b, mean, var, eps: (x, g, b, mean, np.abs(var), eps),
        tf.test_a_negative_variance_is_refused,
    ),
}
for _name, (_arguments, *_tests) in INFERENCE.items():
    mutant("batch_norm_inference", *_tests, name=f"inference {_name}")(
        lambda x, gamma, beta, mean, var, eps=1e-5, arguments=_arguments: (
            right.batch_norm_inference(*arguments(x, gamma, beta, mean, var, eps))
        )
    )


@mutant("batch_norm_inference_backward", tf.test_frozen_gradients_agree_with_differences)
def _(dy, x, gamma, mean, var, eps=1e-5):
    """frozen statistics treated as those of the batch"""
    return right.batch_norm_backward(dy, right.batch_norm(x, gamma, gamma, eps)[1])


@mutant("batch_norm_inference_backward", tf.test_frozen_gradients_agree_with_differences)
def _(dy, x, gamma, mean, var, eps=1e-5):
    """dgamma of frozen statistics not centred"""
    return right.batch_norm_inference_backward(dy, x, gamma, 0 * mean, var, eps)


# -- The layer ------------------------------------------------------------------------------------


class BatchNorm(bnlib.norms.BatchNorm):
    """Right; the mutants below override one method."""


def layer(name, *killed_by, **overridden):
    MUTANTS.append(
        Mutant(name, "BatchNorm", type("BatchNorm", (BatchNorm,), overridden), killed_by)
    )


def track(change):
    """A wrong `_track`: change(layer, mean, unbiased_var) -> what the right one is given."""
    return {"_track": lambda self, mean, var: BatchNorm._track(self, *change(self, mean, var))}


def track_keras(self, mean, var):
    momentum, self.momentum = self.momentum, 1 - self.momentum
    BatchNorm._track(self, mean, var)
    self.momentum = momentum


def track_momentum_0_as_none(self, mean, var):
    momentum, self.momentum = self.momentum, self.momentum or None
    BatchNorm._track(self, mean, var)
    self.momentum = momentum


def track_uncounted(self, mean, var):
    BatchNorm._track(self, mean, var)
    self.buffers["num_batches_tracked"] -= 1


def track_sum(self, mean, var):
    old = self.running_mean.copy()
    BatchNorm._track(self, mean, var)
    self.running_mean += old - (1 - self.momentum) * old


def track_without_positions(self, mean, var):
    m, n = self._count
    BatchNorm._track(self, mean, var * (m - 1) / m * n / max(1, n - 1))


def forward_counting(self, x):
    if np.ndim(x) > 1:
        self._count = x.size // x.shape[1], len(x)
    return BatchNorm.forward(self, x)


def forward_always_with_the_batch(self, x):
    mode, self.training = self.training, True
    state = {name: b.copy() for name, b in self.buffers.items()}
    y = BatchNorm.forward(self, x)
    self.training = mode
    if not mode:
        self.buffers.update(state)
    return y


def forward_with_running_statistics(self, x):
    BatchNorm.forward(self, x)
    y = right.batch_norm_inference(
        x, self.gamma, self.beta, self.running_mean, self.running_var, self.eps
    )
    return y


def forward_updating_in_eval(self, x):
    y = BatchNorm.forward(self, x)
    if not self.training:
        self.running_mean += 1
    return y


def forward_swapped_in_eval(self, x):
    if self.training:
        return BatchNorm.forward(self, x)
    mean, var = self.running_var, np.abs(self.running_mean)
    return right.batch_norm_inference(x, self.gamma, self.beta, mean, var, self.eps)


def forward_default_eps(self, x):
    eps, self.eps = self.eps, 1e-5
    y = BatchNorm.forward(self, x)
    self.eps = eps
    return y


def forward_without_eval_cache(self, x):
    cache = getattr(self, "_cache", None)
    y = BatchNorm.forward(self, x)
    if not self.training:
        self._cache = cache
    return y


def backward_accumulating(self, dy):
    old = {name: g.copy() for name, g in self.grads.items()}
    dx = BatchNorm.backward(self, dy)
    for name, g in self.grads.items():
        g += old[name]
    return dx


def backward_without_dbeta(self, dy):
    dx = BatchNorm.backward(self, dy)
    for name in {"beta"} & self.grads.keys():
        self.grads[name][...] = 0
    return dx


def backward_twice(self, dy):
    cache = getattr(self, "_cache", None)
    dx = BatchNorm.backward(self, dy)
    self._cache = cache
    return dx


def init_with(change):
    def __init__(self, *args, **settings):
        BatchNorm.__init__(self, *args, **settings)
        change(self)

    return {"__init__": __init__}


def write_replacing(self, name, value):
    array = np.broadcast_to(value, self.gamma.shape).copy()
    (self.params if name in self.params else self.buffers)[name] = array


def check_last_axis(self, x):
    if x.ndim < 2 or x.shape[-1] != self.num_features:
        raise ValueError(f"{self} expected x of shape (N, {self.num_features})")


follows = tn.test_running_statistics_follow_pytorch
layer("momentum as in Keras", follows, _track=track_keras)
layer("old running value not reduced", follows, _track=track_sum)
layer("momentum 0 taken for None", follows, _track=track_momentum_0_as_none)
layer("running mean not updated", follows, **track(lambda bn, mean, var: (bn.running_mean, var)))
layer("running standard deviation", follows, **track(lambda bn, mean, var: (mean, np.sqrt(var))))
layer("batches not counted", tn.test_momentum_none_keeps_the_plain_average, _track=track_uncounted)
layer(
    "running variance divided by N examples less one, positions forgotten",
    tn.test_running_variance_is_unbiased_over_the_batch_and_all_positions,
    forward=forward_counting,
    _track=track_without_positions,
)
layer(
    "running variance biased",
    tn.test_running_variance_is_unbiased_over_the_batch_and_all_positions,
    forward=forward_counting,
    _track=lambda bn, mean, var: BatchNorm._track(bn, mean, var * (1 - 1 / bn._count[0])),
)
layer(
    "batch statistics in eval",
    tn.test_in_evaluation_mode_the_batch_does_not_matter,
    tn.test_one_value_per_channel_is_refused_in_training_only,
    forward=forward_always_with_the_batch,
)
layer(
    "running statistics in training",
    tn.test_training_mode_normalises_with_the_batch,
    forward=forward_with_running_statistics,
)
layer("buffers change in eval", tn.test_does_not_update_in_eval, forward=forward_updating_in_eval)
layer(
    "running mean and variance swapped in eval",
    tn.test_evaluation_mode_uses_the_running_statistics,
    forward=forward_swapped_in_eval,
)
layer(
    "eps not passed on",
    tn.test_training_mode_normalises_with_the_batch,
    tn.test_evaluation_mode_uses_the_running_statistics,
    forward=forward_default_eps,
)
layer(
    "backward after eval uses an old batch",
    tn.test_backward_in_evaluation_mode_takes_the_statistics_as_constants,
    forward=forward_without_eval_cache,
)
layer(
    "gradients accumulate",
    tn.test_gradients_replace_those_of_the_last_backward,
    backward=backward_accumulating,
)
layer(
    "gradient of beta left at 0",
    tn.test_training_mode_normalises_with_the_batch,
    backward=backward_without_dbeta,
)
layer(
    "one forward, two backwards", tn.test_one_forward_serves_one_backward, backward=backward_twice
)
layer(
    "running variance starts at 0",
    tn.test_starts_at_gamma_1_beta_0_and_standard_running_statistics,
    follows,
    **init_with(lambda bn: bn.buffers.get("running_var", np.ones(1)).fill(0)),
)
layer(
    "buffers always float64",
    tn.test_float32_is_never_upcast,
    **init_with(lambda bn: bn.buffers.update(running_mean=np.zeros(bn.num_features))),
)
layer(
    "affine=False learns all the same",
    tn.test_without_affine_nothing_is_learned,
    **init_with(lambda bn: bn.add_param("gamma", np.ones(bn.num_features))),
)
layer(
    "state dict with bnlib's names",
    tn.test_state_dict_has_the_names_of_pytorch,
    state=lambda bn: bn.params | bn.buffers,
)
layer(
    "assignment replaces the array",
    tn.test_assignment_writes_into_the_arrays_that_are_there,
    _write=write_replacing,
)
layer(
    "channels checked on the last axis",
    tn.test_a_wrong_shape_says_what_was_expected_and_the_likely_cause,
    _check=check_last_axis,
)
