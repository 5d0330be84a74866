"""Wrong implementations of bnlib.functional and bnlib.norms, made by changing one place each.

Each names the tests that must notice. `old` must occur exactly once in the source, so a mutant
cannot go stale in silence when the code changes.
"""

import importlib
import inspect
import types
from dataclasses import dataclass

import test_functional as tf
import test_norms as tn

FUNCTIONAL, NORM = "bnlib.functional", "bnlib.norms"


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    old: str
    new: str
    killed_by: tuple

    def build(self):
        return fresh_copy(self.module, self.old, self.new)


def fresh_copy(module, old=None, new=None):
    """The module compiled anew from its source, with ``old`` replaced by ``new``."""
    source = inspect.getsource(importlib.import_module(module))
    if old is not None:
        assert source.count(old) == 1, f"{source.count(old)} times in {module}, not once:\n{old}"
        source = source.replace(old, new)
    copy = types.ModuleType(f"{module}_mutant")
    exec(compile(source, copy.__name__, "exec"), vars(copy))
    return copy


def functional(name, old, new, *killed_by):
    return Mutant(name, FUNCTIONAL, old, new, killed_by)


def norm(name, old, new, *killed_by):
    return Mutant(name, NORM, old, new, killed_by)


STATISTICS = [
    functional(
        "variance divided by N - 1",
        "var = group_dot(centred, centred) / count",
        "var = group_dot(centred, centred) / (count - 1)",
        tf.test_forward_equals_the_definition,
        tf.test_a_batch_worked_out_by_hand,
    ),
    functional(
        "one-pass variance",
        "var = group_dot(centred, centred) / count",
        "var = np.maximum(group_dot(x, x) / count - mean**2, 0)",
        tf.test_float32_survives_a_large_mean,
    ),
    functional(
        "variance around 0",
        "var = group_dot(centred, centred) / count",
        "var = group_dot(x, x) / count",
        tf.test_forward_equals_the_definition,
    ),
    functional(
        "standard deviation for variance",
        "var = group_dot(centred, centred) / count",
        "var = np.sqrt(group_dot(centred, centred) / count)",
        tf.test_statistics_are_those_of_each_group,
    ),
    functional(
        "statistics over the batch axis only",
        "    count = x.shape[0] * x.shape[2]\n    mean",
        "    count = x.shape[0]\n    mean",
        tf.test_statistics_are_those_of_each_group,
        tf.test_each_channel_gets_mean_beta_and_the_spread_gamma,
    ),
    functional(
        "x centred in place",
        "centred = x - spread(mean, x)",
        "x -= spread(mean, x)\n    centred = x",
        tf.test_arguments_are_left_alone,
    ),
    functional(
        "eps outside the root",
        "inv_std = 1 / np.sqrt(var + eps)",
        "inv_std = 1 / (np.sqrt(var) + eps)",
        tf.test_forward_equals_the_definition,
        tf.test_normalise_divides_by_the_root_of_variance_plus_eps,
    ),
    functional(
        "eps squared",
        "inv_std = 1 / np.sqrt(var + eps)",
        "inv_std = 1 / np.sqrt(var + eps**2)",
        tf.test_dx_along_xhat_is_what_eps_leaves_of_it,
        tf.test_a_batch_worked_out_by_hand,
    ),
    functional(
        "eps fixed at its default",
        "inv_std = 1 / np.sqrt(var + eps)",
        "inv_std = 1 / np.sqrt(var + 1e-5)",
        tf.test_inference_accepts_a_variance_of_zero,
        tf.test_y_does_not_see_scale_and_shift_of_x,
    ),
    functional(
        "eps forgotten",
        "inv_std = 1 / np.sqrt(var + eps)",
        "inv_std = 1 / np.sqrt(var + 1e-300)",
        tf.test_a_constant_channel_becomes_beta_with_finite_gradients,
    ),
    functional(
        "divided by the variance",
        "inv_std = 1 / np.sqrt(var + eps)",
        "inv_std = 1 / (var + eps)",
        tf.test_each_channel_gets_mean_beta_and_the_spread_gamma,
    ),
    functional(
        "y overwrites what the cache keeps",
        "return centred * spread(scale * inv_std, centred), inv_std",
        "centred *= spread(scale * inv_std, centred)\n    return centred, inv_std",
        tf.test_backward_equals_the_chain_rule_in_stages,
        tf.test_results_do_not_share_memory_with_what_the_caller_may_change,
    ),
]

FORWARD = [
    functional(
        "gamma left out",
        "y, inv_std = normalise(centred, var, eps, gamma)",
        "y, inv_std = normalise(centred, var, eps)",
        tf.test_forward_equals_the_definition,
    ),
    functional(
        "only the size of gamma",
        "y, inv_std = normalise(centred, var, eps, gamma)",
        "y, inv_std = normalise(centred, var, eps, np.abs(gamma))",
        tf.test_forward_equals_the_definition,
    ),
    functional(
        "beta left out",
        "    y += spread(beta, y)\n    return restore(y, x.shape), Cache",
        "    return restore(y, x.shape), Cache",
        tf.test_each_channel_gets_mean_beta_and_the_spread_gamma,
    ),
    functional(
        "beta scaled by gamma",
        "    y += spread(beta, y)\n    return restore(y, x.shape), Cache",
        "    y += spread(gamma * beta, y)\n    return restore(y, x.shape), Cache",
        tf.test_a_batch_worked_out_by_hand,
    ),
    functional(
        "one value per channel accepted",
        "grouped.shape[0] * grouped.shape[2] < 2",
        "grouped.shape[0] * grouped.shape[2] < 1",
        tf.test_bad_x_is_refused,
    ),
    functional(
        "a single example refused although it has positions",
        "grouped.shape[0] * grouped.shape[2] < 2",
        "len(x) < 2",
        tf.test_forward_equals_the_definition,
    ),
    functional(
        "NaN in x let through",
        '    check_finite(var, "x")\n',
        "",
        tf.test_nan_or_infinity_anywhere_in_x_is_refused,
    ),
]

BACKWARD = [
    functional(
        "batch statistics taken as constants",
        "    dx += dy\n    dx -= spread(dbeta / count, dx)\n",
        "    dx = dy.copy()\n",
        tf.test_gradients_agree_with_differences,
        tf.test_two_examples_get_almost_no_gradient,
    ),
    functional(
        "term of the mean left out",
        "    dx -= spread(dbeta / count, dx)\n",
        "",
        tf.test_dx_sums_to_zero_over_the_batch,
    ),
    functional(
        "term of the variance left out",
        "np.multiply(centred, spread(inv_std * dgamma / -count, centred), out)",
        "np.zeros_like(centred)",
        tf.test_dx_along_xhat_vanishes_with_eps,
        tf.test_backward_equals_the_chain_rule_in_stages,
    ),
    functional(
        "sign of the variance term",
        "inv_std * dgamma / -count",
        "inv_std * dgamma / count",
        tf.test_dx_along_xhat_is_what_eps_leaves_of_it,
    ),
    functional(
        "centred input instead of xhat in dx",
        "inv_std * dgamma / -count",
        "dgamma / -count",
        tf.test_y_does_not_see_scale_and_shift_of_x,
    ),
    functional(
        "variance term divided by N - 1",
        "inv_std * dgamma / -count",
        "inv_std * dgamma / (1 - count)",
        tf.test_backward_equals_the_chain_rule_in_stages,
    ),
    functional(
        "m counts examples only",
        "count = dy.shape[0] * dy.shape[2]",
        "count = shape[0]",
        tf.test_a_constant_upstream_gradient_gives_zero,
    ),
    functional(
        "dx without gamma",
        "dx *= spread(gamma * inv_std, dx)",
        "dx *= spread(inv_std, dx)",
        tf.test_gradients_agree_with_differences,
    ),
    functional(
        "dx without 1 / std",
        "dx *= spread(gamma * inv_std, dx)",
        "dx *= spread(gamma, dx)",
        tf.test_y_does_not_see_scale_and_shift_of_x,
    ),
    functional(
        "dx is zero",
        "return restore(dx, shape), dgamma, dbeta",
        "return restore(0 * dx, shape), dgamma, dbeta",
        tf.test_backward_equals_the_chain_rule_in_stages,
        tf.test_gradients_agree_with_differences,
    ),
    functional(
        "dgamma and dbeta swapped",
        "return restore(dx, shape), dgamma, dbeta",
        "return restore(dx, shape), dbeta, dgamma",
        tf.test_a_batch_worked_out_by_hand,
    ),
    functional(
        "dgamma from the centred input",
        "dgamma = group_dot(dy, centred) * inv_std\n",
        "dgamma = group_dot(dy, centred)\n    inv_std = np.ones_like(inv_std)\n",
        tf.test_gradients_agree_with_differences,
    ),
    functional(
        "dgamma and dbeta averaged instead of summed",
        "return restore(dx, shape), dgamma, dbeta",
        "return restore(dx, shape), dgamma / count, dbeta / count",
        tf.test_gradients_agree_with_differences,
    ),
    functional(
        "dy overwritten",
        "    dx += dy\n",
        "    dy += dx\n    dx = dy\n",
        tf.test_arguments_are_left_alone,
    ),
    functional(
        "cache overwritten",
        "out = centred if overwrite_cache else None",
        "out = centred",
        tf.test_arguments_are_left_alone,
        tf.test_the_gradient_is_linear_in_dy,
    ),
    functional(
        "dy of another shape broadcast",
        "if np.shape(dy) != shape:",
        "if False:",
        tf.test_dy_of_the_wrong_shape_is_refused,
    ),
    functional(
        "dy in its own memory order",
        "batch_last=len(centred) < shape[0])",
        "batch_last=None)",
        tf.test_mixed_layouts_of_x_and_dy_give_the_same_numbers,
    ),
]

INFERENCE = [
    functional(
        "inference centres with the batch",
        "normalise(grouped - spread(mean, grouped), var, eps, gamma)",
        "normalise(statistics(grouped)[2], var, eps, gamma)",
        tf.test_inference_treats_each_example_alone,
    ),
    functional(
        "inference scales with the batch",
        "normalise(grouped - spread(mean, grouped), var, eps, gamma)",
        "normalise(grouped - spread(mean, grouped), statistics(grouped)[1], eps, gamma)",
        tf.test_inference_treats_each_example_alone,
        tf.test_inference_is_the_affine_map_of_the_given_statistics,
    ),
    functional(
        "inference does not centre",
        "normalise(grouped - spread(mean, grouped), var, eps, gamma)",
        "normalise(grouped, var, eps, gamma)",
        tf.test_inference_with_the_batch_statistics_equals_training,
    ),
    functional(
        "inference takes var for a standard deviation",
        "normalise(grouped - spread(mean, grouped), var, eps, gamma)",
        "normalise(grouped - spread(mean, grouped), var**2, eps, gamma)",
        tf.test_inference_is_the_affine_map_of_the_given_statistics,
    ),
    functional(
        "inference without gamma",
        "normalise(grouped - spread(mean, grouped), var, eps, gamma)",
        "normalise(grouped - spread(mean, grouped), var, eps)",
        tf.test_inference_is_the_affine_map_of_the_given_statistics,
    ),
    functional(
        "a negative variance let through",
        "if not (var >= 0).all():",
        "if False:",
        tf.test_a_negative_variance_is_refused,
    ),
    functional(
        "inference lets NaN through",
        '    check_finite(group_sum(y), "x, gamma, beta, mean or var")',
        "    ",
        tf.test_nan_or_infinity_anywhere_in_x_is_refused,
    ),
]

VIEWS_AND_CHECKS = [
    functional(
        "channels taken from the last axis",
        "return x.reshape(x.shape[0], x.shape[1], -1)",
        "return x.reshape(x.shape[0], -1, x.shape[1]).swapaxes(1, 2)",
        tf.test_channels_do_not_mix,
        tf.test_gradients_agree_with_differences,
    ),
    functional(
        "batch-last result not turned back",
        "return y.reshape(*shape[1:], shape[0]).transpose(-1, *range(len(shape) - 1))",
        "return y.reshape(shape)",
        tf.test_mixed_layouts_of_x_and_dy_give_the_same_numbers,
    ),
    functional(
        "float64 sums in a float32 network",
        "else x @ ones(b, x.dtype)",
        "else x @ ones(b, float)",
        tf.test_float32_stays_float32,
    ),
    functional(
        "float64 column sums in a float32 network",
        "return ones(a, x.dtype) @ over_b",
        "return ones(a, float) @ over_b",
        tf.test_float32_stays_float32,
    ),
    functional(
        "gamma not converted to the dtype of x",
        "checked.append(v.astype(x.dtype, copy=False))",
        "checked.append(v.astype(np.float64))",
        tf.test_float32_stays_float32,
    ),
    functional(
        "eps 0 accepted",
        "if not eps > 0:",
        "if eps < 0:",
        tf.test_eps_must_be_positive,
    ),
    functional(
        "vectors that broadcast accepted",
        "if v.shape != (x.shape[1],):",
        "if v.size not in (1, x.shape[1]):",
        tf.test_a_vector_of_the_wrong_shape_is_refused,
    ),
    functional(
        "integers accepted",
        "x.dtype not in (np.float32, np.float64)",
        "x.dtype.kind not in 'fiu'",
        tf.test_bad_x_is_refused,
    ),
    functional(
        "error names the wrong channel",
        "int(np.argmin(finite))",
        "int(np.argmax(finite))",
        tf.test_nan_or_infinity_anywhere_in_x_is_refused,
    ),
]

LAYER = [
    norm(
        "momentum as in Keras",
        "            running *= 1 - weight\n            running += weight * new",
        "            running *= weight\n            running += (1 - weight) * new",
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "old running value not reduced",
        "            running *= 1 - weight\n",
        "",
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "momentum 0 taken for None",
        "if weight is None:",
        "if not weight:",
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "cumulative average one batch behind",
        'weight = 1 / int(self.buffers["num_batches_tracked"])',
        'weight = 1 / (int(self.buffers["num_batches_tracked"]) + 1)',
        tn.test_momentum_none_keeps_the_plain_average,
    ),
    norm(
        "batches not counted",
        '        self.buffers["num_batches_tracked"] += 1\n',
        "",
        tn.test_momentum_none_keeps_the_plain_average,
    ),
    norm(
        "running variance biased",
        "self._cache.var * (count / (count - 1))",
        "self._cache.var",
        tn.test_running_variance_is_unbiased_over_the_batch_and_all_positions,
    ),
    norm(
        "running variance unbiased over N - 1 examples, positions forgotten",
        "self._cache.var * (count / (count - 1))",
        "self._cache.var * (len(x) / max(1, len(x) - 1))",
        tn.test_running_variance_is_unbiased_over_the_batch_and_all_positions,
    ),
    norm(
        "running standard deviation",
        "self._cache.var * (count / (count - 1))",
        "np.sqrt(self._cache.var * (count / (count - 1)))",
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "running mean not updated",
        "for running, new in ((self.running_mean, mean), (self.running_var, unbiased_var)):",
        "for running, new in ((self.running_var, unbiased_var),):",
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "running mean and variance swapped in eval",
        "x, self.gamma, self.beta, self.running_mean, self.running_var, self.eps",
        "x, self.gamma, self.beta, self.running_var, np.abs(self.running_mean), self.eps",
        tn.test_evaluation_mode_uses_the_running_statistics,
    ),
    norm(
        "batch statistics in eval",
        "if not self.training and self.track_running_stats:",
        "if False:",
        tn.test_in_evaluation_mode_the_batch_does_not_matter,
        tn.test_one_value_per_channel_is_refused_in_training_only,
    ),
    norm(
        "running statistics in training",
        "if not self.training and self.track_running_stats:",
        "if self.track_running_stats:",
        tn.test_training_mode_normalises_with_the_batch,
    ),
    norm(
        "buffers change in eval",
        "            self._cache = None\n            return",
        "            self._cache = None\n"
        "            self._track(self.running_mean, 1.1 * self.running_var)\n"
        "            return",
        tn.test_does_not_update_in_eval,
    ),
    norm(
        "eps not passed on in training",
        "batch_norm(x, self.gamma, self.beta, self.eps)",
        "batch_norm(x, self.gamma, self.beta)",
        tn.test_training_mode_normalises_with_the_batch,
    ),
    norm(
        "eps not passed on in eval",
        "x, self.gamma, self.beta, self.running_mean, self.running_var, self.eps",
        "x, self.gamma, self.beta, self.running_mean, self.running_var",
        tn.test_evaluation_mode_uses_the_running_statistics,
    ),
    norm(
        "gradients accumulate",
        'self.grads["gamma"][...] = dgamma',
        'self.grads["gamma"][...] += dgamma',
        tn.test_gradients_replace_those_of_the_last_backward,
    ),
    norm(
        "gradient of beta left at 0",
        '            self.grads["beta"][...] = dbeta\n',
        "",
        tn.test_training_mode_normalises_with_the_batch,
    ),
    norm(
        "backward after eval uses an old batch",
        "            self._cache = None\n            return",
        "            return",
        tn.test_backward_needs_a_training_mode_forward,
    ),
    norm(
        "a spent cache used again",
        "        self._cache = None\n        if self.affine:",
        "        if self.affine:",
        tn.test_one_forward_serves_one_backward,
    ),
    norm(
        "running variance starts at 0",
        'self.buffers["running_var"] = np.ones(num_features, dtype)',
        'self.buffers["running_var"] = np.zeros(num_features, dtype)',
        tn.test_starts_at_gamma_1_beta_0_and_standard_running_statistics,
        tn.test_running_statistics_follow_pytorch,
    ),
    norm(
        "buffers always float64",
        'self.buffers["running_mean"] = np.zeros(num_features, dtype)',
        'self.buffers["running_mean"] = np.zeros(num_features)',
        tn.test_float32_is_never_upcast,
    ),
    norm(
        "affine=False learns all the same",
        "        if affine:\n",
        "        if True:\n",
        tn.test_without_affine_nothing_is_learned,
    ),
    norm(
        "state dict with bnlib's names",
        '{"gamma": "weight", "beta": "bias"}',
        '{"gamma": "gamma", "beta": "beta"}',
        tn.test_state_dict_has_the_names_of_pytorch,
    ),
    norm(
        "assignment replaces the array",
        "lambda self, value: self._write(self.gamma, value),",
        'lambda self, value: self.params.__setitem__("gamma", np.broadcast_to(value, 3).copy()),',
        tn.test_assignment_writes_into_the_arrays_that_are_there,
    ),
    norm(
        "channels checked on the last axis",
        "if np.ndim(x) < 2 or x.shape[1] != self.num_features:",
        "if np.ndim(x) < 2 or x.shape[-1] != self.num_features:",
        tn.test_a_wrong_shape_says_what_was_expected_and_the_likely_cause,
    ),
    norm(
        "momentum above 1 accepted",
        "not 0 <= momentum <= 1",
        "not 0 <= momentum",
        tn.test_bad_settings_are_refused,
    ),
]

MUTANTS = STATISTICS + FORWARD + BACKWARD + INFERENCE + VIEWS_AND_CHECKS + LAYER
