"""Wrong functions and methods of bnlib.functional and bnlib.norms, and the tests that must notice.

A mutant says what is computed wrongly, not how the source is written, so the code can be rewritten
without touching this file: it is given the right function and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import test_against_torch as ta
import test_functional as tf
import test_layers as tl
import test_norms as tn

from bnlib import functional, norms
from bnlib.views import row_sum


@dataclass(frozen=True)
class Mutant:
    replaces: str  # a function, "statistics", or a method, "BatchNorm.forward"
    name: str
    wrong: Callable  # of the right function or method and its arguments
    killed_by: tuple[Callable, ...]

    @contextmanager
    def in_place(self):
        """Inside the block the wrong function stands for the right one."""
        layer, _, name = self.replaces.rpartition(".")
        owner = getattr(norms, layer) if layer else functional
        right = getattr(owner, name)

        def wrong(*arguments, **settings):
            return self.wrong(right, *arguments, **settings)

        with mock.patch.object(owner, name, wrong):
            yield


MUTANTS: list[Mutant] = []


def mutants(replaces, *killed_by, **wrong):
    """Mutants of one function by name, killed by these tests, or by those that stand beside one."""
    for name, one in wrong.items():
        one, *tests = one if isinstance(one, tuple) else (one, *killed_by)
        MUTANTS.append(Mutant(replaces, name, one, tuple(tests)))


def result(part, change):
    """Wrong: change(v, *arguments) in the place of v, one part of what comes out."""

    def wrong(right, *arguments, **settings):
        found = right(*arguments, **settings)
        return (*found[:part], change(found[part], *arguments), *found[part + 1 :])

    return wrong


def argument(part, change):
    """Wrong: change(v, *arguments) in the place of v, one of the arguments."""

    def wrong(right, *arguments, **settings):
        changed = change(arguments[part], *arguments)
        return right(*arguments[:part], changed, *arguments[part + 1 :], **settings)

    return wrong


def without_check(right, *arguments, **inputs):
    """Wrong: whatever comes is accepted; dy is brought into its shape."""
    if len(arguments) == 3:
        return np.resize(*arguments[:2])
    return arguments[1] if len(arguments) == 2 else None


definition = tf.test_equals_the_definition_and_the_chain_rule_in_stages
left_alone = tf.test_arguments_are_left_alone_and_layouts_give_the_same_numbers
variance_of_0 = tf.test_a_variance_of_0_needs_eps
wrong_shape = tf.test_a_wrong_shape_is_refused_with_the_likely_cause
named = tf.test_nan_infinity_and_overflow_are_named_with_their_place

# -- What the functions are built of --------------------------------------------------------------

mutants(
    "statistics",
    definition,
    divided_by_m_less_one=result(1, lambda var, x: var * x.shape[1] / max(1, x.shape[1] - 1)),
    around_0=result(1, lambda var, x: row_sum(x * x) / x.shape[1]),
    standard_deviation=result(1, lambda var, x: np.sqrt(var)),
    one_for_all_rows=lambda right, x: (*(0 * v + v.mean() for v in right(x)[:2]), x - x.mean()),
    one_pass=(
        result(1, lambda var, x: abs((x * x).mean(1) - x.mean(1) ** 2)[:, None]),
        tf.test_float32_survives_a_large_mean,
    ),
    in_float64=(argument(0, lambda x, *_: x.astype(float)), tf.test_float32_stays_float32),
    in_place=(argument(0, lambda x, *_: np.subtract(x, x.mean(), out=x)), left_alone),
)
mutants(
    "project",
    definition,
    as_constants=result(0, lambda dx, dy, c, inv_std: dy.copy()),
    without_mean=result(0, lambda dx, dy, c, inv_std: dx + row_sum(dy) / dy.shape[1]),
    without_variance=result(0, lambda dx, dy, c, inv_std: dy - row_sum(dy) / dy.shape[1]),
    sign=result(0, lambda dx, dy, c, inv_std: 2 * (dy - row_sum(dy) / dy.shape[1]) - dx),
    in_place=(result(0, lambda dx, dy, *_: np.copyto(dy, dx) or dy), left_alone),
)
mutants(
    "channels_view",
    definition,
    channels_last=lambda right, x, axes=None: x.reshape(-1, x.shape[1]).T,
)
for name, *tests in (
    ("check_divisible", variance_of_0, wrong_shape),
    ("check_num_groups", wrong_shape),
    ("check_finite", named),
    ("check_gradient", tf.test_dy_of_the_wrong_shape_is_refused),
):
    mutants(name, *tests, accepts_all=without_check)

# -- Batch norm -----------------------------------------------------------------------------------


def y_of(formula):
    """Wrong: y = formula(x - mean, var, gamma, beta, eps), everything in rows."""

    def wrong(right, x, gamma, beta, eps=1e-5):
        _, cache = right(x, gamma, beta, eps)
        var, gamma, beta = (np.asarray(v)[:, None] for v in (cache.var, gamma, beta))
        y = formula(cache.centred, var, gamma, beta, eps)
        return functional.restore(y.astype(x.dtype), x.shape, cache.axes), cache

    return wrong


mutants(
    "batch_norm",
    definition,
    eps_outside=y_of(lambda c, v, g, b, eps: g * c / (np.sqrt(v) + eps) + b),
    eps_fixed=y_of(lambda c, v, g, b, eps: g * c / np.sqrt(v + 1e-5) + b),
    by_the_variance=y_of(lambda c, v, g, b, eps: g * c / (v + eps) + b),
    only_the_size_of_gamma=y_of(lambda c, v, g, b, eps: abs(g) * c / np.sqrt(v + eps) + b),
    beta_scaled_by_gamma=y_of(lambda c, v, g, b, eps: g * (c / np.sqrt(v + eps) + b)),
    one_image_refused=lambda right, x, *a, **eps: right(x, *a, **eps) if len(x) > 1 else 1 / 0,
)


def shares_memory(right, x, gamma, beta, eps=1e-5):
    y, cache = right(x, gamma, beta, eps)
    cache.centred[...] = functional.channels_view(y, cache.axes)
    return functional.restore(cache.centred, x.shape, cache.axes), cache


def spends_the_cache(right, dy, cache):
    gradients = right(dy, cache)
    cache.centred[...] = 0
    return gradients


def column(v, dx):
    return np.reshape(v, (-1,) + (1,) * (dx.ndim - 2))


def batch_axes(x):
    return (0, *range(2, x.ndim))


mutants("batch_norm", left_alone, y_shares_memory_with_the_cache=shares_memory)
mutants(
    "batch_norm_backward",
    definition,
    without_gamma=result(0, lambda dx, dy, cache: dx / column(cache.gamma, dx)),
    without_std=result(0, lambda dx, dy, cache: dx / column(cache.inv_std, dx)),
    swapped=lambda right, dy, cache: [right(dy, cache)[k] for k in (0, 2, 1)],
    dgamma_of_the_centred_input=result(1, lambda dg, dy, cache: dg / cache.inv_std[:, 0]),
    averaged=result(2, lambda dbeta, dy, cache: dbeta / len(dy)),
    spends_the_cache=(spends_the_cache, left_alone),
)
mutants(
    "batch_norm_inference",
    definition,
    centres_with_the_batch=argument(3, lambda mean, x, *_: x.mean(axis=batch_axes(x))),
    scales_with_the_batch=argument(4, lambda var, x, *_: x.var(axis=batch_axes(x))),
    takes_var_for_std=argument(4, lambda var, *_: var**2),
    without_gamma=argument(1, lambda gamma, *_: np.ones_like(gamma)),
    size_of_the_variance=(
        argument(4, lambda v, *_: abs(v)),
        tf.test_a_negative_variance_is_refused,
    ),
)
mutants(
    "batch_norm_inference_backward",
    definition,
    as_of_a_batch=lambda right, dy, x, gamma, *_: functional.batch_norm_backward(
        dy, functional.batch_norm(x, gamma, gamma)[1]
    ),
    dgamma_not_centred=argument(3, lambda mean, *_: 0 * mean),
)

# -- The relatives --------------------------------------------------------------------------------


def other_y(formula):
    """Wrong: y = formula(x, *vectors, eps); the cache is the right one's."""

    def wrong(right, *arguments, eps=1e-5):
        y, cache = right(*arguments, eps=eps)
        return np.asarray(formula(*arguments, eps), y.dtype), cache

    return wrong


def last(gamma):
    return tuple(range(-np.ndim(gamma), 0))


def over(x, axes, gamma, beta, eps, outside=0.0):
    centred = x - x.mean(axis=axes, keepdims=True)
    std = np.sqrt(x.var(axis=axes, keepdims=True) + eps) + outside
    return centred / std * gamma + beta


mutants(
    "layer_norm",
    definition,
    over_the_batch=other_y(lambda x, g, b, eps: over(x, 0, g, b, eps)),
    eps_outside=other_y(lambda x, g, b, eps: over(x, last(g), g, b, 0, outside=eps)),
    over_the_example=other_y(lambda x, g, b, eps: over(x, (*range(1, x.ndim),), g, b, eps)),
    without_beta=argument(2, lambda beta, *_: 0 * beta),
)
mutants(
    "group_norm",
    definition,
    one_gamma_a_group=argument(
        2, lambda g, x, groups, *_: np.repeat(g[:: len(g) // groups], len(g) // groups)
    ),
    one_group=argument(1, lambda *_: 1),
)
mutants(
    "instance_norm",
    definition,
    over_the_batch=other_y(lambda x, g, b, eps: functional.batch_norm(x, g, b, eps)[0]),
)
mutants(
    "rms_norm",
    definition,
    mean_taken_off=other_y(lambda x, g, eps: over(x, last(g), g, 0, eps)),
    by_the_norm=other_y(lambda x, g, eps: g * x / np.sqrt((x**2).sum(last(g), keepdims=True))),
    eps_of_layer_norm=(
        lambda right, x, gamma, eps=1e-5: right(x, gamma, eps),
        tf.test_the_default_eps_of_rms_norm_is_that_of_the_dtype,
    ),
)


def dx_of(formula):
    """Wrong: dx = formula(dy, gamma, xhat, inv_std), all of them in rows."""

    def wrong(right, dy, cache):
        rows = dy.reshape(cache.xhat.shape)
        dx = formula(rows, cache.gamma.ravel(), cache.xhat, cache.inv_std)
        return dx.reshape(dy.shape), *right(dy, cache)[1:]

    return wrong


def off(dx, along):
    return dx - along * (dx * along).mean(axis=1, keepdims=True)


mutants(
    "layer_norm_backward",
    definition,
    gamma_outside=dx_of(lambda dy, g, xhat, inv: g * inv * off(off(dy, 0 * xhat + 1), xhat)),
)
mutants(
    "rms_norm_backward",
    definition,
    mean_taken_off=lambda right, dy, cache: functional.layer_norm_backward(dy, cache)[:2],
    rms_constant=dx_of(lambda dy, g, xhat, inv: dy * g * inv),
)
mutants(
    "group_norm_backward",
    definition,
    swapped=lambda right, dy, cache: [right(dy, cache)[k] for k in (0, 2, 1)],
    averaged=result(1, lambda dgamma, dy, cache: dgamma / len(dy)),
)

# -- BatchNorm, the layer -------------------------------------------------------------------------

pytorch = ta.test_batch_norm_equals_pytorch
at_its_limits = tn.test_momentum_is_the_weight_of_the_new_batch_at_its_limits_too


def with_setting(name, change):
    """Wrong: the layer's setting is another one during the call."""

    def wrong(right, self, *arguments):
        kept = getattr(self, name)
        setattr(self, name, change(self))
        try:
            return right(self, *arguments)
        finally:
            setattr(self, name, kept)

    return wrong


def afterwards(change):
    """Wrong: change(layer) is called after the right method."""

    def wrong(right, self, *arguments, **settings):
        found = right(self, *arguments, **settings)
        change(self)
        return found

    return wrong


def with_running_statistics(right, self, x):
    right(self, x)
    statistics = self.running_mean, self.running_var, self.eps
    return functional.batch_norm_inference(x, self.gamma, self.beta, *statistics)


def accumulating(right, self, dy):
    old = {name: g.copy() for name, g in self.grads.items()}
    dx = right(self, dy)
    for name, g in self.grads.items():
        g += old[name]
    return dx


def backward_twice(right, self, dy):
    cache = self._saved()
    dx = right(self, dy)
    self._cache = cache
    return dx


mutants(
    "BatchNorm._track",
    pytorch,
    momentum_as_in_keras=with_setting("momentum", lambda bn: 1 - (bn.momentum or 0)),
    mean_not_updated=argument(1, lambda mean, bn, *_: bn.running_mean),
    another_divisor=argument(2, lambda var, bn, *_: 0.9 * var),
    not_counted=afterwards(lambda bn: bn.buffers.update(num_batches_tracked=np.array(0))),
    momentum_0_as_none=(with_setting("momentum", lambda bn: bn.momentum or None), at_its_limits),
)
mutants(
    "BatchNorm.forward",
    tl.test_evaluation_mode_changes_nothing_and_treats_each_example_alone,
    the_batch_in_eval=with_setting("training", lambda bn: True),
    moves_in_eval=afterwards(lambda bn: bn.buffers["running_mean"].__iadd__(not bn.training)),
)
mutants(
    "BatchNorm.forward",
    pytorch,
    running_statistics_in_training=with_running_statistics,
    eps_not_passed_on=with_setting("eps", lambda bn: 1e-5),
    no_mean_in_eval=with_setting("running_mean", lambda bn: bn.running_mean * bn.training),
)
mutants(
    "BatchNorm.__init__",
    pytorch,
    variance_from_0=afterwards(lambda bn: bn.buffers.update(running_var=0 * bn.gamma)),
    always_affine=(
        afterwards(lambda bn: bn.add_param("gamma", 0 * bn.gamma + 1)),
        tn.test_without_affine_no_norm_learns,
    ),
)
mutants(
    "BatchNorm.backward",
    tl.test_gradients_replace_the_old_ones_in_place,
    accumulating=accumulating,
    twice=backward_twice,
)

# -- The other layers -----------------------------------------------------------------------------

relatives = ta.test_the_relatives_equal_pytorch
a_batch_of_its_own = tn.test_each_ghost_batch_is_a_batch_of_its_own
of_the_paper = tn.test_renorm_is_the_algorithm_of_its_paper


def last_gradient(right, self, dy, cache):
    dx, *gradients = right(self, dy, cache)
    if isinstance(cache, list):
        gradients = functional.batch_norm_backward(dy[-cache[-1].shape[0] :], cache[-1])[1:]
    return dx, *gradients


def half_moved(right, self, x):
    try:
        return right(self, x)
    except ValueError:
        self.buffers = self.buffers | {"running_mean": self.running_mean + 1}
        raise


def moved_first(right, self, x):
    if self.training:
        before = self.buffers
        right(self, x)
        self.buffers = self.buffers | {"num_batches_tracked": before["num_batches_tracked"]}
    return right(self, x)


def of_renorm(dx_or_dgamma):
    """Wrong: dx, or the gradient of gamma, as if there were no correction r and d."""

    def wrong(right, self, dy, cache):
        found = list(right(self, dy, cache))
        if isinstance(cache[0], functional.Cache):
            slope = (cache[0].gamma * cache[0].inv_std)[:, 0]
            plain = functional.batch_norm_backward(dy, cache[0])
            found[dx_or_dgamma] = plain[1] if dx_or_dgamma else dy * column(slope, dy)
        return found

    return wrong


mutants("LayerNorm._normalize", relatives, eps_not_passed_on=with_setting("eps", lambda _: 1e-5))
mutants(
    "GroupNorm._normalize",
    relatives,
    eps_not_passed_on=with_setting("eps", lambda _: 1e-5),
    one_group=with_setting("num_groups", lambda _: 1),
)
mutants(
    "GhostNorm.forward",
    a_batch_of_its_own,
    the_whole_batch=with_setting("virtual_batch_size", lambda _: 1000),
    ghosts_in_eval=with_setting("training", lambda _: True),
    half_moved=(half_moved, tn.test_no_norm_takes_another_shape_or_what_is_not_finite),
)
mutants("GhostNorm._gradients", a_batch_of_its_own, last_gradient=last_gradient)
mutants(
    "BatchRenorm.forward",
    of_the_paper,
    moved_first=moved_first,
    no_warmup=with_setting("warmup", lambda _: 0),
)
mutants(
    "BatchRenorm._track",
    of_the_paper,
    average_of_variances=lambda right, self, mean, sigma: norms.BatchNorm._track(
        self, mean, sigma**2 - self.eps
    ),
)
mutants(
    "BatchRenorm._gradients",
    tn.test_the_gradient_of_renorm_takes_r_and_d_for_constants,
    constant_statistics=of_renorm(0),
    dgamma_of_batch_norm=of_renorm(1),
)
