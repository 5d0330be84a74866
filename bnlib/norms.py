"""Normalization layers: the functions of functional.py with parameters and running statistics."""

import numpy as np

from bnlib.functional import batch_norm, batch_norm_backward, batch_norm_inference
from bnlib.layers import Layer, load_arrays

# PyTorch's names for the same arrays: state dicts use them, so that weights cross over.
TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


class BatchNorm(Layer):
    """Batch normalization with learned scale and shift, and running statistics for test time.

        y = gamma * (x - mean) / sqrt(var + eps) + beta

    x is (N, D) or (N, C, *spatial); gamma, beta and the statistics are (num_features,).

    Training mode uses the mean and the biased variance (divided by m, the number of values per
    channel) of the batch and updates the running statistics. Evaluation mode uses the running
    statistics and changes nothing. Forgetting to switch is the classic bug: call ``.eval()``.

    The running statistics follow PyTorch:

        running_mean = (1 - momentum) * running_mean + momentum * batch_mean
        running_var  = (1 - momentum) * running_var  + momentum * batch_var * m / (m - 1)

    so ``momentum`` (0 to 1) is the weight of the *new* batch, and running_var keeps the unbiased
    variance (N - 1) although the batch is normalised with the biased one (N). tinygrad agrees.
    Keras, Flax, Equinox and ONNX use 1 - momentum under the same name; Keras, Flax and Equinox
    keep the biased variance. ``momentum=None`` keeps the plain average of all batches.

    Parameters
    ----------
    num_features : D or C
    eps : positive, added to the variance inside the root
    momentum : weight of the new batch, in [0, 1], or None for a cumulative average
    affine : learn gamma and beta; False fixes them at 1 and 0
    track_running_stats : False uses batch statistics in evaluation mode too
    dtype : of parameters and buffers, float64 or float32. Results have the dtype of x.

    Raises ValueError or TypeError as `bnlib.functional.batch_norm` does, and RuntimeError for
    ``backward`` before ``forward``.
    Source: Ioffe & Szegedy 2015 (arXiv:1502.03167), Algorithms 1 and 2.
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        dtype=np.float64,
    ):
        super().__init__()
        if num_features < 1:
            raise ValueError(f"BatchNorm expected num_features >= 1, got {num_features}")
        if not eps > 0:
            raise ValueError(f"BatchNorm expected eps > 0, got {eps}")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(
                f"BatchNorm expected momentum in [0, 1] or None, got {momentum}: it is the weight "
                "of the new batch, 0.1 by default"
            )
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"BatchNorm expected dtype float32 or float64, got {dtype}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._gamma, self._beta = np.ones(num_features, dtype), np.zeros(num_features, dtype)
        if affine:
            self.add_param("gamma", self._gamma)
            self.add_param("beta", self._beta)
        if track_running_stats:
            self.buffers["running_mean"] = np.zeros(num_features, dtype)
            self.buffers["running_var"] = np.ones(num_features, dtype)
            self.buffers["num_batches_tracked"] = np.zeros((), np.int64)

    # Assigning to gamma, beta or a running statistic writes into the array that the layer holds.
    gamma = property(
        lambda self: self.params.get("gamma", self._gamma),
        lambda self, value: self._write(self.gamma, value),
        doc="Learned scale (num_features,).",
    )
    beta = property(
        lambda self: self.params.get("beta", self._beta),
        lambda self, value: self._write(self.beta, value),
        doc="Learned shift (num_features,).",
    )
    running_mean = property(
        lambda self: self.buffers.get("running_mean"),
        lambda self, value: self._write(self.running_mean, value),
        doc="Running mean (num_features,), or None.",
    )
    running_var = property(
        lambda self: self.buffers.get("running_var"),
        lambda self, value: self._write(self.running_var, value),
        doc="Running unbiased variance (num_features,), or None.",
    )

    def forward(self, x):
        """Normalise x; in training mode also update the running statistics."""
        self._check(x)
        if not self.training and self.track_running_stats:
            self._cache = None
            return batch_norm_inference(
                x, self.gamma, self.beta, self.running_mean, self.running_var, self.eps
            )
        count = x.size // self.num_features
        if count < 2:
            raise ValueError(
                f"BatchNorm in training mode needs more than one value per channel, got x of "
                f"shape {x.shape}: the variance of one value is 0. Use .eval() for single "
                "examples, or a larger batch"
            )
        y, self._cache = batch_norm(x, self.gamma, self.beta, self.eps)
        if self.training and self.track_running_stats:
            self._track(self._cache.mean, self._cache.var * (count / (count - 1)))
        return y

    def backward(self, dy):
        """Gradients for the last training-mode forward: fills ``grads``, returns dx.

        Once for each forward: dx is written over what forward kept.
        """
        cache = self._saved("training-mode batch")
        dx, dgamma, dbeta = batch_norm_backward(dy, cache, overwrite_cache=True)
        self._cache = None
        if self.affine:
            self.grads["gamma"][...] = dgamma
            self.grads["beta"][...] = dbeta
        return dx

    def state_dict(self):
        return {TORCH_NAMES.get(k, k): v for k, v in super().state_dict().items()}

    def load_state_dict(self, state):
        arrays = self.params | self.buffers
        load_arrays(self, {TORCH_NAMES.get(k, k): v for k, v in arrays.items()}, state)

    def _track(self, mean, unbiased_var):
        self.buffers["num_batches_tracked"] += 1
        weight = self.momentum
        if weight is None:
            weight = 1 / int(self.buffers["num_batches_tracked"])
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased_var)):
            running *= 1 - weight
            running += weight * new

    def _check(self, x):
        if np.ndim(x) < 2 or x.shape[1] != self.num_features:
            c = self.num_features
            hint = "the batch is the first axis" + (
                "; did you mean x.T?"
                if np.ndim(x) == 2 and x.shape[0] == c
                else "; are the channels last?"
                if np.ndim(x) > 2 and x.shape[-1] == c
                else ", the features or channels are the second"
            )
            raise ValueError(
                f"{self} expected x of shape (N, {c}) or (N, {c}, ...), got {np.shape(x)}: {hint}"
            )

    @staticmethod
    def _write(target, value):
        if target is None:
            raise AttributeError(
                "this BatchNorm has no running statistics: track_running_stats=False"
            )
        if np.shape(value) not in ((), target.shape):
            raise ValueError(f"expected shape {target.shape}, got {np.shape(value)}")
        target[...] = value

    def __repr__(self):
        return f"BatchNorm({self.num_features})"
