"""Batch normalization as pure functions: arrays in, arrays out, no state.

Two functions hold the mathematics. `statistics` gives the mean and the variance of groups of
numbers; `project` is the step that makes the backward pass more than a division. Both work on a
matrix with a group in each row. Normalizations differ only in what forms a group: for batch norm
it is one feature of all examples, or one channel of all images and positions (`views` lays
the arrays out like that, and checks the input). For its relatives, at the end of this file, it is
a part of one example: no batch, no running statistics, the same in training and at test time.

Symbols follow Ioffe & Szegedy 2015 (arXiv:1502.03167), Algorithm 1. Results have the dtype of x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bnlib.views import (
    channels_view,
    check_array,
    check_divisible,
    check_finite,
    check_gradient,
    check_groups,
    check_input,
    check_last_axes,
    check_num_groups,
    restore,
    row_dot,
    row_order,
    row_sum,
)


class Cache(NamedTuple):
    """What the backward pass needs from the forward pass; columns are (C, 1)."""

    centred: np.ndarray  # (C, m), x - mean; xhat is this times inv_std
    inv_std: np.ndarray  # a column, 1 / sqrt(var + eps)
    gamma: np.ndarray  # a column
    mean: np.ndarray  # (C,), of this batch; for the running statistics
    var: np.ndarray  # (C,), of this batch, biased: divided by m, not m - 1
    shape: tuple[int, ...]  # of x
    axes: tuple[int, ...]  # the order in which the rows list the axes of x


# -- Two building blocks, shared by every normalization ---------------------------------------


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of every row of ``x`` (groups, m), and ``x`` minus its mean.

    Two passes: the mean first, then the mean square of ``x - mean``. The one-pass formula
    E[x^2] - E[x]^2 subtracts two nearly equal numbers when the mean is large, and in float32 its
    result can be negative. Returns the columns ``mean`` and ``var`` (groups, 1), var divided by m
    and not by m - 1, and ``centred`` (groups, m).
    """
    m = x.shape[1]
    mean = row_sum(x) / m
    centred = x - mean
    var = row_dot(centred, centred) / m
    return mean, var, centred


def project(
    dy: np.ndarray, centred: np.ndarray, inv_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P dy for every row: ``dy`` minus its mean, minus its part along xhat.

        P dy = dy - sum(dy) / m - xhat * sum(dy * xhat) / m,    xhat = centred * inv_std

    Shifting or stretching a group does not change its xhat, so a gradient along those two
    directions, 1 and xhat, has no effect and is taken out. ``dy`` and ``centred`` (groups, m),
    ``inv_std`` a column. Returns P dy (groups, m) and the columns sum(dy) and sum(dy * xhat).
    """
    m = dy.shape[1]
    along_one = row_sum(dy)
    along_xhat = row_dot(dy, centred) * inv_std
    dx = centred * (inv_std * along_xhat / -m)
    dx += dy
    dx -= along_one / m
    return dx, along_one, along_xhat


# -- Batch normalization ----------------------------------------------------------------------


@np.errstate(all="ignore")  # check_finite says what overflowed, in words
def batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, Cache]:
    """Normalise every feature over the batch, then scale and shift it (training mode).

        y = gamma * xhat + beta,    xhat = (x - mu_B) / sqrt(sigma_B^2 + eps)

    mu_B and sigma_B^2 are the mean and the biased variance of one feature over the N examples of
    the batch, or of one channel over N examples and all positions. gamma and beta are learned and
    the same for all batches: they set the standard deviation and the mean of the *output*.

    The trap: y depends on the whole batch, so the output for one example changes with its
    neighbours. For test time use `batch_norm_inference`.

    Parameters
    ----------
    x : (N, D) or (N, C, *spatial), float32 or float64
    gamma, beta : (D,) or (C,), the learned scale and shift
    eps : at least 0; added to the variance, inside the root

    Returns ``y``, shaped like x, and a ``cache`` for `batch_norm_backward`.
    Raises ValueError for a wrong shape, eps < 0, one value per channel, or a variance of 0 at
    eps 0; TypeError for a dtype that is not floating; NonFiniteError for NaN, infinity or overflow.
    Source: Ioffe & Szegedy 2015, Algorithm 1; per channel: section 3.2.
    """
    eps, gamma, beta = check_input(x, eps, gamma=gamma, beta=beta)
    axes = row_order(x)
    rows = channels_view(x, axes)
    mean, var, centred = statistics(rows)
    check_divisible(x, mean, var, eps)
    inv_std = 1 / np.sqrt(var + eps)
    scale = gamma * inv_std
    y = centred * scale
    y += beta
    check_finite(var + scale + beta, y, x=rows, gamma=gamma, beta=beta)
    cache = Cache(centred, inv_std, gamma, mean[:, 0], var[:, 0], x.shape, axes)
    return restore(y, x.shape, axes), cache


@np.errstate(all="ignore")
def batch_norm_backward(dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `batch_norm`, in closed form.

        dbeta  = sum dy
        dgamma = sum dy * xhat
        dx     = gamma / sqrt(sigma_B^2 + eps) * (dy - dbeta / m - xhat * dgamma / m)

    The sums run over the m = N (or N * H * W) values of a channel. The two subtracted terms are
    there because mu_B and sigma_B^2 depend on every x of the batch; treating the statistics as
    constants leaves them out, and training then drifts (section 2 of the paper).

    Takes ``dy`` shaped like y. Returns ``dx`` shaped like x, ``dgamma`` and ``dbeta`` (D,) or (C,).
    Raises ValueError when dy does not have the shape of y, NonFiniteError for NaN, infinity or
    overflow.
    Source: Ioffe & Szegedy 2015, section 3, after Algorithm 1, simplified.
    """
    centred, inv_std, gamma, _, _, shape, axes = cache
    dy = channels_view(check_gradient(dy, shape, centred.dtype), axes)
    dx, dbeta, dgamma = project(dy, centred, inv_std)
    scale = gamma * inv_std
    dx *= scale
    check_finite(dbeta + dgamma * scale, dx, dy=dy, gamma=gamma)
    return restore(dx, shape, axes), dgamma[:, 0], dbeta[:, 0]


# -- With given statistics: each feature by itself, an affine map ---------------------------------


@np.errstate(all="ignore")
def batch_norm_inference(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float = 1e-5,
) -> np.ndarray:
    """Normalise with given statistics (evaluation mode): an affine map of each feature.

        y = gamma * (x - mean) / sqrt(var + eps) + beta

    Every example is treated alone, so the batch size and its order do not matter, and one example
    is enough. ``mean`` and ``var`` (D,) or (C,) are population statistics, for instance the running
    averages of `bnlib.BatchNorm`. Parameters, errors and shapes otherwise as in `batch_norm`.
    Source: Ioffe & Szegedy 2015, section 3.1 and Algorithm 2.
    """
    gamma, beta, mean, inv_std = _frozen(x, gamma, beta, mean, var, eps)
    axes = row_order(x)
    rows = channels_view(x, axes)
    y = rows - mean
    y *= gamma * inv_std
    y += beta
    check_finite(row_sum(y), y, x=rows, gamma=gamma, beta=beta, mean=mean)
    return restore(y, x.shape, axes)


@np.errstate(all="ignore")
def batch_norm_inference_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `batch_norm_inference` with respect to x, gamma and beta.

        dx = gamma / sqrt(var + eps) * dy,    dgamma = sum dy * xhat,    dbeta = sum dy

    mean and var are constants here, so nothing is projected out: this is the gradient of a trained
    network with respect to its image, or of fine-tuning with frozen statistics.
    Shapes, results and errors as in `batch_norm_backward`.
    """
    gamma, _, mean, inv_std = _frozen(x, gamma, gamma, mean, var, eps)
    axes = row_order(x)
    dy = channels_view(check_gradient(dy, x.shape, x.dtype), axes)
    dbeta = row_sum(dy)
    dgamma = row_dot(dy, channels_view(x, axes) - mean) * inv_std
    dx = dy * (gamma * inv_std)
    check_finite(row_sum(dx) + dgamma, dx, dy=dy, gamma=gamma, mean=mean)
    return restore(dx, x.shape, axes), dgamma[:, 0], dbeta[:, 0]


def _frozen(x, gamma, beta, mean, var, eps):
    eps, gamma, beta, mean, var = check_input(x, eps, gamma=gamma, beta=beta, mean=mean, var=var)
    wrong = ~((var >= 0) & (var + eps >= np.finfo(x.dtype).tiny) & (var < np.inf))
    if wrong.any():
        raise ValueError(
            f"expected var >= 0 and var + eps > 0, got {var[wrong][0]:.3g} and eps = {eps:.3g}: "
            "is this a running mean, or a one-pass variance? A variance of 0 needs eps > 0"
        )
    return gamma, beta, mean, 1 / np.sqrt(var + eps)


# -- The relatives: groups inside one example -------------------------------------------------


class GroupCache(NamedTuple):
    """What the backward pass of a relative needs. ``view`` (N, C, positions) has a gamma per C."""

    xhat: np.ndarray  # (groups, m), normalised
    inv_std: np.ndarray  # a column, one over what each group was divided by
    gamma: np.ndarray  # as given
    shape: tuple[int, ...]  # of x
    view: tuple[int, ...]  # of x, as gamma sees it


def layer_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, GroupCache]:
    """Normalise the features of every example; gamma and beta scale and shift each feature.

        y = gamma * xhat + beta,    xhat = (x - mu) / sqrt(sigma^2 + eps)

    mu and sigma^2 are the mean and the biased variance of one example over the last axes of x,
    those that gamma has. In a transformer that is each position by itself: x (N, T, D), gamma (D,).
    gamma is not constant in a group, so unlike in batch norm it goes into the projection.

    ``x`` (..., *axes), ``gamma`` and ``beta`` (*axes). Returns ``y``, shaped like x, and a
    ``cache`` for `layer_norm_backward`. Raises as `batch_norm` does, and ValueError for groups of
    one value; groups are numbered example by example.
    Source: Ba et al. 2016 (arXiv:1607.06450), section 3; eps and shapes as in PyTorch.
    """
    eps, gamma, beta = check_last_axes(x, eps, gamma=gamma, beta=beta)
    groups = x.reshape(-1, gamma.size)  # a row: one example
    return _normalize(x, groups, gamma, beta, eps, (*groups.shape, 1))


def group_norm(
    x: np.ndarray, num_groups: int, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, GroupCache]:
    """Normalise groups of neighbouring channels of every example, over all positions.

    The formula is that of `layer_norm`; mu and sigma^2 belong to one example and to the
    C / num_groups channels of a group. With as many groups as channels it is `instance_norm`.
    With one group it is what Wu & He call layer norm: gamma and beta stay one number a channel.

    ``x`` (N, D) or (N, C, *spatial), ``gamma`` and ``beta`` (D,) or (C,); ``num_groups`` divides C.
    Returns and raises as `layer_norm`.
    Source: Wu & He 2018 (arXiv:1803.08494), section 3.
    """
    eps, gamma, beta = check_input(x, eps, gamma=gamma, beta=beta)
    n, c = x.shape[:2]
    groups = x.reshape(n * check_num_groups(c, num_groups), -1)  # a row: some channels of one
    return _normalize(x, groups, gamma[:, 0], beta[:, 0], eps, (n, c, x[0, 0].size))


def instance_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, GroupCache]:
    """Normalise every channel of every image over its positions: `group_norm` with C groups.

    ``x`` (N, C, *spatial) with more than one position; the rest as in `group_norm`.
    Source: Ulyanov et al. 2016 (arXiv:1607.08022), equation 3.
    """
    check_array(x)
    return group_norm(x, x.shape[1] if x.ndim > 1 else 1, gamma, beta, eps)


@np.errstate(all="ignore")
def _normalize(x, groups, gamma, beta, eps, view):
    """y and the cache: what layer, group and instance norm share."""
    mean, var, centred = statistics(groups)
    check_groups(x, groups, mean, var, eps)
    inv_std = 1 / np.sqrt(var + eps)
    xhat = centred * inv_std
    y = xhat.reshape(view) * gamma.reshape(-1, 1) + beta.reshape(-1, 1)
    _check_groups_finite(y, var, x=groups, gamma=gamma, beta=beta)
    return y.reshape(x.shape), GroupCache(xhat, inv_std, gamma, x.shape, view)


@np.errstate(all="ignore")
def group_norm_backward(
    dy: np.ndarray, cache: GroupCache
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `group_norm`, `instance_norm` and `layer_norm`, in closed form.

        dgamma = sum dy * xhat,   dbeta = sum dy,   dx = P (gamma * dy) / sqrt(sigma^2 + eps)

    The sums run over everything that shares a gamma, the projection P over a group.
    Takes ``dy`` shaped like y. Returns ``dx`` shaped like x, ``dgamma`` and ``dbeta`` like gamma.
    Raises as `batch_norm_backward`.
    """
    xhat, inv_std, gamma, shape, view = cache
    dy = check_gradient(dy, shape, xhat.dtype).reshape(view)
    dgamma = np.einsum("ncp,ncp->c", dy, xhat.reshape(view))
    dbeta = np.einsum("ncp->c", dy)
    dxhat = (dy * gamma.reshape(-1, 1)).reshape(xhat.shape)
    dx, _, _ = project(dxhat, xhat, 1)  # xhat is centred and divided already
    dx *= inv_std
    _check_groups_finite(dx, dgamma.sum() + dbeta.sum(), dy=dy.reshape(xhat.shape), gamma=gamma)
    return dx.reshape(shape), dgamma.reshape(gamma.shape), dbeta.reshape(gamma.shape)


layer_norm_backward = instance_norm_backward = group_norm_backward


@np.errstate(all="ignore")
def rms_norm(
    x: np.ndarray, gamma: np.ndarray, eps: float | None = None
) -> tuple[np.ndarray, GroupCache]:
    """Divide the features of every example by their root mean square: `layer_norm` without a mean.

        y = gamma * xhat,    xhat = x / sqrt(mean(x^2) + eps)

    ``x`` (..., *axes), ``gamma`` (*axes); no beta. ``eps`` stands inside the root. Its default
    None is PyTorch's: the machine epsilon of x.dtype, 2.2e-16 or 1.2e-7 (language models set 1e-5
    or 1e-6). Returns and raises as `layer_norm`.
    Source: Zhang & Sennrich 2019 (arXiv:1910.07467), equation 4, which has no eps.
    """
    check_array(x)
    eps, gamma = check_last_axes(x, np.finfo(x.dtype).eps if eps is None else eps, gamma=gamma)
    groups = x.reshape(-1, gamma.size)
    mean_square = row_dot(groups, groups) / gamma.size
    check_groups(x, groups, None, mean_square, eps)
    inv_rms = 1 / np.sqrt(mean_square + eps)
    xhat = groups * inv_rms
    y = xhat * gamma.ravel()
    _check_groups_finite(y, mean_square, x=groups, gamma=gamma)
    return y.reshape(x.shape), GroupCache(xhat, inv_rms, gamma, x.shape, (*groups.shape, 1))


@np.errstate(all="ignore")
def rms_norm_backward(dy: np.ndarray, cache: GroupCache) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `rms_norm`: only the part along xhat is projected out, the mean stays.

        dgamma = sum dy * xhat,    dx = (g - xhat * sum(g * xhat) / m) / rms,    g = gamma * dy

    Takes ``dy`` shaped like y. Returns ``dx`` shaped like x and ``dgamma`` shaped like gamma.
    Raises as `batch_norm_backward`.
    """
    xhat, inv_rms, gamma, shape, _ = cache
    dy = check_gradient(dy, shape, xhat.dtype).reshape(xhat.shape)
    dgamma = np.einsum("gm,gm->m", dy, xhat)
    dxhat = dy * gamma.ravel()
    dx = (dxhat - xhat * (row_dot(dxhat, xhat) / gamma.size)) * inv_rms
    _check_groups_finite(dx, dgamma.sum(), dy=dy, gamma=gamma)
    return dx.reshape(shape), dgamma.reshape(gamma.shape)


def _check_groups_finite(y, also, **inputs):
    """check_finite for y or dx in groups, and for ``also``; the first of ``inputs`` has groups."""
    (name, x), *vectors = inputs.items()
    y, vectors = y.reshape(x.shape), {name: v.reshape(-1, 1) for name, v in vectors}
    check_finite(row_sum(y) + also, y, "group", **{name: x}, **vectors)
