"""Normalization layers: the functions of functional.py with parameters and running statistics."""

from __future__ import annotations

import numpy as np

from bnlib.functional import (
    Cache,
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
)
from bnlib.layers import Layer, check_value
from bnlib.views import NonFiniteError, check_array, check_dtype, check_eps, check_int, check_real

# PyTorch's names for the same arrays: state dicts use them, so that weights cross over.
TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


class BatchNorm(Layer):
    """Batch normalization with learned scale and shift, and running statistics for test time.

        y = gamma * (x - mean) / sqrt(var + eps) + beta

    x is (N, D) or (N, C, *spatial); gamma, beta and the statistics are (num_features,). gamma and
    beta are the same for all batches; they set the standard deviation and the mean of the *output*.

    Training mode uses the mean and the biased variance (divided by m, the number of values per
    channel) of the batch and updates the running statistics, which it never reads: so in PyTorch,
    Keras and Flax too. Evaluation mode uses the running statistics and changes nothing. Forgetting
    to switch is the classic bug: call ``.eval()``.

    The running statistics follow PyTorch:

        running_mean = (1 - momentum) * running_mean + momentum * batch_mean
        running_var  = (1 - momentum) * running_var  + momentum * batch_var * m / (m - 1)

    so ``momentum`` (0 to 1) is the weight of the *new* batch, and running_var keeps the variance
    with N - 1 although the batch is normalised with N. m / (m - 1) makes it unbiased only for
    independent values, which the pixels of an image are not. tinygrad agrees with PyTorch. Keras 3,
    Flax and ONNX give the name momentum to 1 - momentum and keep the variance with N (TensorFlow's
    fused kernel for images: N - 1). ``momentum=None`` keeps the plain average of all batches.

    Parameters
    ----------
    num_features : D or C
    eps : at least 0, added to the variance inside the root
    momentum : weight of the new batch, in [0, 1], or None for a cumulative average
    affine : learn gamma and beta; False fixes them at 1 and 0
    track_running_stats : False uses batch statistics in evaluation mode too
    dtype : of parameters and buffers, float64 or float32. Results have the dtype of x.

    Raises ValueError or TypeError as `bnlib.functional.batch_norm` does, and RuntimeError for
    ``backward`` before ``forward``. A call that raises changes nothing.
    Source: Ioffe & Szegedy 2015 (arXiv:1502.03167), Algorithms 1 and 2.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: type = np.float64,
    ):
        super().__init__()
        dtype = check_dtype("BatchNorm", dtype)
        self.num_features = check_int("BatchNorm expected num_features", num_features)
        self.eps = check_eps(eps, dtype)
        if momentum is not None:
            what = "BatchNorm expected momentum in [0, 1] or None, the weight of the new batch"
            check_real(what, momentum, most=1)
        self.momentum = momentum
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
        lambda self, value: self._write("gamma", value),
        doc="Learned scale (num_features,).",
    )
    beta = property(
        lambda self: self.params.get("beta", self._beta),
        lambda self, value: self._write("beta", value),
        doc="Learned shift (num_features,).",
    )
    running_mean = property(
        lambda self: self.buffers.get("running_mean"),
        lambda self, value: self._write("running_mean", value),
        doc="Running mean (num_features,), or None.",
    )
    running_var = property(
        lambda self: self.buffers.get("running_var"),
        lambda self, value: self._write("running_var", value),
        doc="Running unbiased variance (num_features,), or None.",
    )

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Normalise x; in training mode also update the running statistics."""
        self._check(x)
        if not self.training and self.track_running_stats:
            frozen = self.running_mean.copy(), self.running_var.copy(), self.eps
            y = batch_norm_inference(x, self.gamma, self.beta, *frozen)
            self._cache = x, self.gamma, *frozen
            return y
        y, cache = batch_norm(x, self.gamma, self.beta, self.eps)
        if self.training and self.track_running_stats:
            m = x.size // self.num_features
            self._track(cache.mean, cache.var * (m / (m - 1)))
        self._cache = cache
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Gradients for the last forward, once: fills ``grads``, returns dx.

        After a forward in evaluation mode the running statistics are constants:
        dx = gamma / sqrt(running_var + eps) * dy.
        """
        cache = self._saved()
        if isinstance(cache, Cache):
            dx, dgamma, dbeta = batch_norm_backward(dy, cache)
        else:
            dx, dgamma, dbeta = batch_norm_inference_backward(dy, *cache)
        self._cache = None  # it is as large as x: the next forward gets its memory
        if self.affine:
            self.grads["gamma"][...] = dgamma
            self.grads["beta"][...] = dbeta
        return dx

    def state(self) -> dict[str, np.ndarray]:
        return {TORCH_NAMES.get(name, name): v for name, v in super().state().items()}

    def _track(self, mean, unbiased_var):
        if mean.dtype != self.running_mean.dtype:
            limit = np.finfo(self.running_mean.dtype).max
            if not (abs(mean).max() < limit > unbiased_var.max()):
                raise NonFiniteError(
                    f"{self} keeps its running statistics in {limit.dtype}, and those of this "
                    f"batch are beyond {limit:.2g}: has the network diverged? Or give the layer "
                    "the dtype of the data"
                )
        count = self.buffers["num_batches_tracked"] + 1
        weight = 1 / int(count) if self.momentum is None else self.momentum
        moved = {"num_batches_tracked": np.array(count)}
        for name, new in (("running_mean", mean), ("running_var", unbiased_var)):
            moved[name] = (1 - weight) * self.buffers[name]
            moved[name] += weight * new
        self.buffers = self.buffers | moved

    def _check(self, x):
        if not isinstance(x, np.ndarray) or x.ndim < 2 or x.shape[1] != self.num_features:
            check_array(x)
            c, hint = self.num_features, ", the features or channels are the second"
            if x.ndim == 2 and x.shape[0] == c:
                hint = "; did you mean x.T?"
            elif x.ndim > 2 and x.shape[-1] == c:
                hint = "; are the channels last?"
            raise ValueError(
                f"{self} expected x of shape (N, {c}) or (N, {c}, ...), got {x.shape}: "
                f"the batch is the first axis{hint}"
            )

    def _write(self, name, value):
        target = getattr(self, name)
        if target is None:
            raise AttributeError(
                "this BatchNorm has no running statistics: track_running_stats=False"
            )
        if np.shape(value) == ():
            value = np.full(target.shape, value)
        target[...] = check_value(str(self), name, target, value)

    def __repr__(self):
        return f"BatchNorm({self.num_features})"
