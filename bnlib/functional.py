"""Batch normalization as pure functions: arrays in, arrays out, no state.

A normalization layer does two things. It computes *statistics* of some groups of numbers, and it
*normalises* every number with the statistics of its group. Batch, layer, instance and group
normalization differ only in which numbers form a group, so everything here works on one view of
the input, ``(A, groups, B)``, and takes statistics over A and B:

    batch norm, x (N, D)       ->  (N, D, 1)      a group is a column: a feature of all examples
    batch norm, x (N, C, H, W) ->  (N, C, H * W)  a group is a channel: all examples, positions

Symbols follow Ioffe & Szegedy 2015 (arXiv:1502.03167), Algorithm 1. Results have the dtype of x.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class NonFiniteError(ValueError):
    """The input holds a NaN or an infinity, usually because a network has diverged.

    ``finite`` (C,), where it is known, says which channels are well.
    """

    def __init__(self, message, finite=None):
        super().__init__(message)
        self.finite = finite


class Cache(NamedTuple):
    """What the backward pass needs from the forward pass (``mean`` and ``var``: for the layer)."""

    centred: np.ndarray  # (A, groups, B), x - mean; xhat is this times inv_std
    inv_std: np.ndarray  # (groups,), 1 / sqrt(var + eps)
    gamma: np.ndarray  # (groups,)
    mean: np.ndarray  # (groups,), of this batch
    var: np.ndarray  # (groups,), of this batch, biased: divided by the count, not count - 1
    shape: tuple[int, ...]  # of x


# -- Two building blocks, shared by every normalization ---------------------------------------


@np.errstate(over="ignore", invalid="ignore")  # check_finite reports NaN and infinity, in words
def statistics(x):
    """Mean and variance of every group of ``x`` (A, groups, B), and ``x`` minus its mean.

    Two passes: the mean first, then the mean square of ``x - mean``. The one-pass formula
    E[x^2] - E[x]^2 subtracts two nearly equal numbers when the mean is large, and in float32 its
    result can be negative (notebook 02). Returns ``mean`` (groups,), ``var`` (groups,), which is
    divided by the count and not by count - 1, and ``centred`` (A, groups, B).
    """
    count = x.shape[0] * x.shape[2]
    mean = group_sum(x) / count
    centred = x - spread(mean, x)
    var = group_dot(centred, centred) / count
    return mean, var, centred


def normalise(centred, var, eps, scale=1):
    """Divide ``centred`` (A, groups, B) by sqrt(var + eps) of its group and multiply by ``scale``.

    With ``scale`` 1 the result is xhat, with gamma (groups,) it is gamma * xhat in the same single
    pass. Returns it and ``inv_std`` (groups,) = 1 / sqrt(var + eps).
    """
    inv_std = 1 / np.sqrt(var + eps)
    return centred * spread(scale * inv_std, centred), inv_std


# -- Batch normalization ----------------------------------------------------------------------


def batch_norm(x, gamma, beta, eps=1e-5):
    """Normalise every feature over the batch, then scale and shift it (training mode).

        y = gamma * xhat + beta,    xhat = (x - mu_B) / sqrt(sigma_B^2 + eps)

    mu_B and sigma_B^2 are the mean and the biased variance of one feature over the N examples of
    the batch, or of one channel over N examples and all positions.

    The trap: y depends on the whole batch, so the output for one example changes with its
    neighbours. For test time use `batch_norm_inference`.

    Parameters
    ----------
    x : (N, D) or (N, C, *spatial), float32 or float64
    gamma, beta : (D,) or (C,), the learned scale and shift
    eps : positive; added to the variance, inside the root

    Returns ``y``, shaped like x, and a ``cache`` for `batch_norm_backward`.
    Raises ValueError for a wrong shape, eps <= 0 or one value per channel; TypeError for a dtype
    that is not floating; NonFiniteError for NaN or infinity in x.
    Source: Ioffe & Szegedy 2015, Algorithm 1; per channel: section 3.2.
    """
    gamma, beta = check_input(x, gamma, beta, eps)
    grouped = channels_view(x)
    if grouped.shape[0] * grouped.shape[2] < 2:
        raise ValueError(
            f"batch_norm needs more than one value per channel, got x of shape {x.shape}: the "
            "variance of one value is 0. Use batch_norm_inference with running statistics, or a "
            "larger batch."
        )
    mean, var, centred = statistics(grouped)
    check_finite(var, "x")
    y, inv_std = normalise(centred, var, eps, gamma)
    y += spread(beta, y)
    return restore(y, x.shape), Cache(centred, inv_std, gamma, mean, var, x.shape)


def batch_norm_backward(dy, cache, overwrite_cache=False):
    """Gradients of `batch_norm`, in closed form.

        dbeta  = sum dy
        dgamma = sum dy * xhat
        dx     = gamma / sqrt(sigma_B^2 + eps) * (dy - dbeta / m - xhat * dgamma / m)

    The sums run over the m = N (or N * H * W) values of a channel. The two subtracted terms are
    there because mu_B and sigma_B^2 depend on every x of the batch; treating the statistics as
    constants leaves them out, and training then drifts (section 2 of the paper).

    Takes ``dy`` shaped like y. Returns ``dx`` shaped like x, ``dgamma`` and ``dbeta`` (D,) or (C,).
    With ``overwrite_cache`` dx takes the memory of the cache, which is then spent: a seventh less
    time for large images, since every further array costs a trip to memory.
    Raises ValueError when dy does not have the shape of y.
    Source: Ioffe & Szegedy 2015, section 3, after Algorithm 1, simplified (notebook 03).
    """
    centred, inv_std, gamma, _, _, shape = cache
    if np.shape(dy) != shape:
        raise ValueError(
            f"batch_norm_backward expected dy of shape {shape}, the shape of y, got {np.shape(dy)}"
        )
    # In the memory order that x had.
    dy = channels_view(np.asarray(dy, centred.dtype), batch_last=len(centred) < shape[0])
    count = dy.shape[0] * dy.shape[2]

    dbeta = group_sum(dy)
    dgamma = group_dot(dy, centred) * inv_std
    out = centred if overwrite_cache else None
    dx = np.multiply(centred, spread(inv_std * dgamma / -count, centred), out)  # -xhat * dgamma / m
    dx += dy
    dx -= spread(dbeta / count, dx)
    dx *= spread(gamma * inv_std, dx)
    return restore(dx, shape), dgamma, dbeta


@np.errstate(over="ignore", invalid="ignore")  # check_finite reports NaN and infinity, in words
def batch_norm_inference(x, gamma, beta, mean, var, eps=1e-5):
    """Normalise with given statistics (evaluation mode): an affine map of each feature.

        y = gamma * (x - mean) / sqrt(var + eps) + beta

    Every example is treated alone, so the batch size and its order do not matter, and one example
    is enough. ``mean`` and ``var`` (D,) or (C,) are population statistics, for instance the running
    averages of `bnlib.BatchNorm`. Parameters, errors and shapes otherwise as in `batch_norm`.
    Source: Ioffe & Szegedy 2015, section 3.1 and Algorithm 2.
    """
    gamma, beta = check_input(x, gamma, beta, eps)
    mean, var = check_vectors(x, mean=mean, var=var)
    if not (var >= 0).all():
        raise ValueError(
            f"batch_norm_inference expected var >= 0, got {var.min():.3g}: "
            "is this a running mean, or a one-pass variance?"
        )
    grouped = channels_view(x)
    y, _ = normalise(grouped - spread(mean, grouped), var, eps, gamma)
    y += spread(beta, y)
    check_finite(group_sum(y), "x, gamma, beta, mean or var")  # a sum shows any NaN or infinity
    return restore(y, x.shape)


# -- Views and sums: the only lines written for speed --------------------------------------------


def channels_view(x, batch_last=None):
    """View ``x`` (N, C, *spatial) as (N, C, positions), or as (1, C, positions * N) if batch_last.

    bnlib.Conv2d keeps the batch as the last axis in memory, so that all of a channel lies in one
    run. By default the order that x has in memory decides, and then nothing is copied.
    """
    if batch_last is None:
        batch_last = x.ndim > 2 and x.strides[0] == x.itemsize and x.shape[0] > 1
    if batch_last:
        return x.transpose(*range(1, x.ndim), 0).reshape(1, x.shape[1], -1)
    return x.reshape(x.shape[0], x.shape[1], -1)


def restore(y, shape):
    """Undo `channels_view`: ``y`` as an array of ``shape`` (N, C, *spatial), without a copy."""
    if len(y) < shape[0]:  # batch last
        return y.reshape(*shape[1:], shape[0]).transpose(-1, *range(len(shape) - 1))
    return y.reshape(shape)


def spread(v, x):
    """Shape ``v`` (groups,) so that it broadcasts over ``x`` (A, groups, B)."""
    if x.shape[0] == 1 or x.shape[2] == 1:
        return v[:, None]
    # Repeated, it lets NumPy run through whole rows of groups * B numbers: 1.5 times faster.
    return v.repeat(x.shape[2]).reshape(x.shape[1:])


@lru_cache(maxsize=64)
def ones(n, dtype):
    """n ones, read-only, made once for each length: a sum is a matrix product with them."""
    vector = np.ones(n, dtype)
    vector.flags.writeable = False
    return vector


def group_sum(x):
    """Sum of ``x`` (A, groups, B) over A and B, as matrix products: 5 times faster than x.sum."""
    a, _, b = x.shape
    over_b = x[:, :, 0] if b == 1 else x @ ones(b, x.dtype)
    return ones(a, x.dtype) @ over_b


def group_dot(x, y):
    """Sum of ``x * y`` over A and B, for both (A, groups, B)."""
    if x.shape[2] == 1:
        return group_sum(x * y)
    return ones(len(x), x.dtype) @ np.vecdot(x, y)


# -- Checks: bad input stops here, with what was expected, what came and the likely cause ---------


def check_input(x, gamma, beta, eps):
    """Check x, gamma, beta and eps of a normalization over channels; gamma, beta as x.dtype."""
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
        came = f"{x.dtype} array" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(
            f"expected x as a float32 or float64 array, got a {came}: "
            "convert it first, for example x.astype(np.float64)"
        )
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(
            f"expected x of shape (N, D) or (N, C, *spatial) with N >= 1, got {x.shape}: "
            "the batch is the first axis, the features or channels are the second"
        )
    if not eps > 0:
        raise ValueError(
            f"expected eps > 0, got {eps}: eps keeps a feature of variance 0 from dividing by 0"
        )
    return check_vectors(x, gamma=gamma, beta=beta)


def check_vectors(x, **vectors):
    """Check that every vector has one number per channel of ``x``; returns them as x.dtype."""
    checked = []
    for name, v in vectors.items():
        v = np.asarray(v)
        if v.shape != (x.shape[1],):
            hint = (
                "did you mean x.T?"
                if x.ndim == 2 and v.shape == (x.shape[0],)
                else "one number per feature or channel, which is axis 1 of x"
            )
            raise ValueError(
                f"expected {name} of shape ({x.shape[1]},) for x of shape {x.shape}, "
                f"got {v.shape}: {hint}"
            )
        checked.append(v.astype(x.dtype, copy=False))
    return checked


def check_finite(v, what):
    """Raise NonFiniteError unless all of ``v`` is finite; ``what`` names where it came from."""
    finite = np.isfinite(v)
    if not finite.all():
        raise NonFiniteError(
            f"expected finite numbers in {what}, got NaN or infinity in channel "
            f"{int(np.argmin(finite))}: has the network diverged, or is the data unclean?",
            finite,
        )
