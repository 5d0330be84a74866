"""Wrong implementations of bnlib.functional and bnlib.norms, each with the tests that must notice.

A mutant is a function, or a subclass of a layer, that is wrong in one way and takes the place of
the right one. It says what is computed, not how the source is written, so the code can be rewritten
without touching this file.
"""

from __future__ import annotations

import importlib.util
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import test_functional as tf
import test_norms as tn
import test_relatives as tr

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

    @property
    def is_layer(self) -> bool:
        return isinstance(self.wrong, type)

    def build(self) -> types.ModuleType:
        """A fresh copy of the module in which the wrong function stands for the right one."""
        copy = fresh_copy(bnlib.norms if self.is_layer else right)
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


# -- The relatives --------------------------------------------------------------------------------

definition = tr.test_equals_the_definition_and_the_chain_rule_in_stages
alone = tr.test_an_example_does_not_see_the_others
by_hand = tr.test_an_example_worked_out_by_hand
means = tr.test_groups_have_mean_0_and_mean_square_1_before_gamma_and_beta
differences = tr.test_gradients_agree_with_differences


def other_y(name, formula):
    """A wrong relative whose y is formula(x, *vectors, eps) in the place of the right one's."""
    function = getattr(right, name)

    def relative(*arguments, **eps):
        call = inspect.signature(function).bind(*arguments, **eps)
        call.apply_defaults()
        x = call.arguments["x"]
        return np.asarray(formula(*call.args), x.dtype), function(*call.args)[1]

    return relative


def last(gamma):
    return tuple(range(-np.ndim(gamma), 0))


def rows_norm(x, axes, gamma, beta, eps, ddof=0, outside=0.0):
    centred = x - x.mean(axis=axes, keepdims=True)
    std = np.sqrt(x.var(axis=axes, keepdims=True, ddof=ddof) + eps) + outside
    return centred / std * gamma + beta


def channel_vector(v, x):
    return np.reshape(v, (-1,) + (1,) * (x.ndim - 2))


def interleaved_groups(x, groups, gamma, beta, eps):
    order = np.argsort(np.arange(x.shape[1]) % groups, kind="stable")
    y = np.empty_like(x)
    y[:, order] = right.group_norm(x[:, order], groups, gamma[order], beta[order], eps)[0]
    return y


def gamma_a_group(x, groups, gamma, beta, eps):
    first = np.repeat(gamma[:: len(gamma) // groups], len(gamma) // groups)
    return right.group_norm(x, groups, first, beta, eps)[0]


OTHER_Y = {
    "layer norm over the batch": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, 0, g, b, eps),
        (alone, definition),
    ),
    "layer norm with N - 1": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, last(g), g, b, eps, ddof=1),
        (definition, by_hand, means),
    ),
    "layer norm with eps outside the root": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, last(g), g, b, 0, outside=eps),
        (definition, by_hand),
    ),
    "layer norm over the last axis only": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, -1, g, b, eps),
        (definition,),
    ),
    "layer norm over all of an example": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, tuple(range(1, x.ndim)), g, b, eps),
        (definition,),
    ),
    "layer norm without beta": (
        "layer_norm",
        lambda x, g, b, eps: rows_norm(x, last(g), g, 0 * b, eps),
        (definition, by_hand, tr.test_a_constant_example_gives_beta_with_finite_gradients),
    ),
    "group norm of interleaved channels": ("group_norm", interleaved_groups, (definition,)),
    "group norm with one gamma a group": ("group_norm", gamma_a_group, (definition,)),
    "group norm with one group": (
        "group_norm",
        lambda x, groups, g, b, eps: right.group_norm(x, 1, g, b, eps)[0],
        (definition, tr.test_they_are_one_another_where_their_groups_are),
    ),
    "instance norm over the batch": (
        "instance_norm",
        lambda x, g, b, eps: right.batch_norm(x, g, b, eps)[0],
        (definition, alone),
    ),
    "instance norm over the channels": (
        "instance_norm",
        lambda x, g, b, eps: right.group_norm(x, 1, g, b, eps)[0],
        (definition, tr.test_they_are_one_another_where_their_groups_are),
    ),
    "RMS norm with the mean taken off": (
        "rms_norm",
        lambda x, g, eps: rows_norm(x, last(g), g, 0, eps),
        (definition, by_hand),
    ),
    "RMS norm divided by the norm": (
        "rms_norm",
        lambda x, g, eps: g * x / np.sqrt((x**2).sum(axis=last(g), keepdims=True) + eps),
        (definition, by_hand, means),
    ),
    "RMS norm with eps outside the root": (
        "rms_norm",
        lambda x, g, eps: g * x / (np.sqrt((x**2).mean(axis=last(g), keepdims=True)) + eps),
        (definition, by_hand),
    ),
}
for _name, (_function, _formula, _tests) in OTHER_Y.items():
    mutant(_function, *_tests, name=_name)(other_y(_function, _formula))


@mutant("rms_norm", tr.test_the_default_eps_of_rms_norm_is_that_of_the_dtype)
def _(x, gamma, eps=None):
    """RMS norm with layer norm's eps"""
    return right.rms_norm(x, gamma, 1e-5 if eps is None else eps)


@mutant("layer_norm", tr.test_arguments_are_left_alone_and_layouts_give_the_same_numbers)
def _(x, gamma, beta, eps=1e-5):
    """y shares the memory of the cache"""
    y, cache = right.layer_norm(x, gamma, beta, eps)
    cache.xhat[...] = y.reshape(cache.xhat.shape)
    return cache.xhat.reshape(x.shape), cache


def backward_with(formula):
    """A wrong backward of layer norm: formula(dy, gamma, xhat, inv_std), all of them in rows."""

    def backward(dy, cache):
        dx, *gradients = right.layer_norm_backward(dy, cache)
        xhat, rows = cache.xhat, dy.reshape(cache.xhat.shape)
        wrong = formula(rows, cache.gamma.ravel(), xhat, cache.inv_std)
        return wrong.reshape(dx.shape), *gradients

    return backward


OTHER_DX = {
    "gamma outside the projection, as in batch norm": (
        lambda dy, gamma, xhat, inv_std: gamma * inv_std * right.project(dy, xhat, 1)[0]
    ),
    "no projection": lambda dy, gamma, xhat, inv_std: gamma * dy * inv_std,
    "the mean not taken off": lambda dy, gamma, xhat, inv_std: (
        inv_std * (gamma * dy - xhat * (gamma * dy * xhat).mean(axis=1, keepdims=True))
    ),
    "the part along xhat not taken off": lambda dy, gamma, xhat, inv_std: (
        inv_std * (gamma * dy - (gamma * dy).mean(axis=1, keepdims=True))
    ),
}
for _name, _formula in OTHER_DX.items():
    mutant("layer_norm_backward", definition, differences, name=_name)(backward_with(_formula))


@mutant("rms_norm_backward", definition, differences, by_hand)
def _(dy, cache):
    """RMS norm's gradient without its mean"""
    dx, dgamma, _ = right.layer_norm_backward(dy, cache)
    return dx, dgamma


@mutant("rms_norm_backward", definition, differences, by_hand)
def _(dy, cache):
    """RMS norm's gradient as if the RMS were a constant"""
    rows = dy.reshape(cache.xhat.shape) * cache.gamma.ravel() * cache.inv_std
    return rows.reshape(dy.shape), right.rms_norm_backward(dy, cache)[1]


@mutant("group_norm_backward", definition, differences)
def _(dy, cache):
    """gradients of gamma and beta swapped"""
    dx, dgamma, dbeta = right.group_norm_backward(dy, cache)
    return dx, dbeta, dgamma


@mutant("instance_norm_backward", definition, differences)
def _(dy, cache):
    """gradients of gamma averaged over the examples"""
    dx, dgamma, dbeta = right.instance_norm_backward(dy, cache)
    return dx, dgamma / len(dy), dbeta / len(dy)


for _name, _check, _tests in (
    (
        "groups are not checked",
        "check_groups",
        (
            tr.test_a_variance_of_0_needs_eps,
            tr.test_one_feature_and_a_beta_of_another_shape_are_refused,
        ),
    ),
    (
        "any number of groups",
        "check_num_groups",
        (tr.test_a_wrong_shape_is_refused_with_the_likely_cause,),
    ),
):
    mutant(_check, *_tests, name=_name)(lambda *arguments: arguments[1])


@mutant("_check_groups_finite", tr.test_nan_infinity_and_overflow_are_named_with_their_group)
def _(y, also, **inputs):
    """results that are not finite let through"""


# -- The other layers -----------------------------------------------------------------------------


def other_layer(base, name, *killed_by, **overridden):
    right_layer = getattr(bnlib.norms, base)
    wrong = type(base, (right_layer,), overridden)
    MUTANTS.append(Mutant(name, base, wrong, killed_by))


class Wrong:
    """Methods of wrong layers. ``super`` is the right layer of the name."""

    def default_eps(self, x):
        return right.layer_norm(x, self.gamma, self.beta)

    def default_eps_of_groups(self, x):
        return right.group_norm(x, self.num_groups, self.gamma, self.beta)

    def group_of_one(self, x):
        return right.group_norm(x, 1, self.gamma, self.beta, self.eps)

    def accumulating(self, dy):
        old = {name: grad.copy() for name, grad in self.grads.items()}
        dx = bnlib.norms.LayerNorm.backward(self, dy)
        for name, grad in old.items():
            self.grads[name] += grad
        return dx

    def always_affine(self, num_features, eps=1e-5, affine=True, dtype=np.float64):
        bnlib.norms.InstanceNorm.__init__(self, num_features, eps, affine, dtype)

    def whole_batch(self, x):
        return bnlib.norms.BatchNorm.forward(self, x)

    def ghosts_in_eval(self, x):
        mode, self.training, buffers = self.training, True, self.buffers
        y = bnlib.norms.GhostNorm.forward(self, x)
        self.training = mode
        self.buffers = self.buffers if mode else buffers
        return y

    def half_moved(self, x):
        buffers = dict(self.buffers)
        try:
            return bnlib.norms.GhostNorm.forward(self, x)
        except ValueError:
            if self.training:
                self.buffers = buffers | {"running_mean": buffers["running_mean"] + 1}
            raise

    def last_gradient(self, dy, cache):
        dx, *gradients = bnlib.norms.GhostNorm._gradients(self, dy, cache)
        if isinstance(cache, list):
            part = dy[len(dy) - cache[-1].shape[0] :]
            gradients = right.batch_norm_backward(part, cache[-1])[1:]
        return dx, *gradients

    def update_first(self, x):
        if not self.training:
            return bnlib.norms.BatchRenorm.forward(self, x)
        before = self.buffers
        bnlib.norms.BatchRenorm.forward(self, x)
        self.buffers = self.buffers | {"num_batches_tracked": before["num_batches_tracked"]}
        moved = self.buffers
        y = bnlib.norms.BatchRenorm.forward(self, x)
        self.buffers = moved | {"num_batches_tracked": before["num_batches_tracked"] + 1}
        return y

    def average_of_variances(self, mean, sigma_b):
        bnlib.norms.BatchNorm._track(self, mean, sigma_b**2 - self.eps)

    def gamma_without_correction(self, dy, cache):
        if isinstance(cache[0], right.Cache):
            return right.batch_norm_backward(dy, cache[0])
        return bnlib.norms.BatchRenorm._gradients(self, dy, cache)

    def statistics_constant(self, dy, cache):
        dx, *gradients = bnlib.norms.BatchRenorm._gradients(self, dy, cache)
        if isinstance(cache[0], right.Cache):
            slope = (cache[0].gamma * cache[0].inv_std)[:, 0]
            dx = dy * channel_vector(slope, dy)
        return dx, *gradients

    def no_warmup(self, x):
        warmup, self.warmup = self.warmup, 0
        y = bnlib.norms.BatchRenorm.forward(self, x)
        self.warmup = warmup
        return y


is_its_function = tn.test_a_relative_is_its_function_in_both_modes
a_batch_of_its_own = tn.test_each_ghost_batch_is_a_batch_of_its_own
of_the_paper = tn.test_renorm_is_the_algorithm_of_its_paper
of_constants = tn.test_the_gradient_of_renorm_takes_r_and_d_for_constants
refuses = tn.test_no_norm_takes_another_shape_or_what_is_not_finite
for _base, _name, _tests, _overridden in (
    ("LayerNorm", "eps not passed on", (is_its_function,), {"_normalize": Wrong.default_eps}),
    ("LayerNorm", "gradients accumulate", (is_its_function,), {"backward": Wrong.accumulating}),
    ("GroupNorm", "eps lost", (is_its_function,), {"_normalize": Wrong.default_eps_of_groups}),
    ("GroupNorm", "one group always", (is_its_function,), {"_normalize": Wrong.group_of_one}),
    ("InstanceNorm", "one group", (is_its_function,), {"_normalize": Wrong.group_of_one}),
    (
        "InstanceNorm",
        "learns by default",
        (tn.test_what_pytorch_fixes_is_fixed_here,),
        {"__init__": Wrong.always_affine},
    ),
    ("GhostNorm", "the whole batch", (a_batch_of_its_own,), {"forward": Wrong.whole_batch}),
    ("GhostNorm", "ghosts in eval", (a_batch_of_its_own,), {"forward": Wrong.ghosts_in_eval}),
    ("GhostNorm", "statistics half moved", (refuses,), {"forward": Wrong.half_moved}),
    ("GhostNorm", "last gradient", (a_batch_of_its_own,), {"_gradients": Wrong.last_gradient}),
    ("BatchRenorm", "statistics moved first", (of_the_paper,), {"forward": Wrong.update_first}),
    ("BatchRenorm", "variances", (of_the_paper,), {"_track": Wrong.average_of_variances}),
    ("BatchRenorm", "no warm-up", (of_the_paper,), {"forward": Wrong.no_warmup}),
    ("BatchRenorm", "dgamma", (of_constants,), {"_gradients": Wrong.gamma_without_correction}),
    (
        "BatchRenorm",
        "statistics constant in the gradient",
        (of_constants, tn.test_renorm_without_correction_is_batch_norm),
        {"_gradients": Wrong.statistics_constant},
    ),
):
    other_layer(_base, _name, *_tests, **_overridden)
