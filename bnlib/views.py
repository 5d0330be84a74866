"""How arrays are laid out for functional.py, sums over rows, and the checks of input.

Every normalization works on one view of its input, a matrix with a *group* in each row: all the
numbers that share a mean and a variance. Then a sum over a group is a sum over a row, and a column
(groups, 1), one number a group, broadcasts along it. For batch norm a group is a feature, or a
channel:

    x (N, D)        ->  (D, N)            a row: one feature of all examples
    x (N, C, H, W)  ->  (C, N * H * W)    a row: one channel, all examples and positions

Its relatives group the numbers of one example, which lie together in memory: x.reshape(groups, -1).
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from numbers import Real

import numpy as np


class NonFiniteError(ValueError):
    """A NaN, an infinity or an overflow, usually because a network has diverged."""


# -- Views ----------------------------------------------------------------------------------------


def channels_view(x: np.ndarray, axes: tuple[int, ...] | None = None) -> np.ndarray:
    """View ``x`` (N, C, *spatial) as (C, m): a channel in each row.

    ``axes`` is the order in which the axes of x are read, by default `row_order` of x. Nothing is
    copied for (N, D), nor for images that bnlib.Conv2d made; other images are copied once.
    """
    return x.transpose(axes or row_order(x)).reshape(x.shape[1], -1)


def row_order(x: np.ndarray) -> tuple[int, ...]:
    """Channels first, then the other axes: the batch last if it is last in memory too.

    That is how bnlib.Conv2d hands images out, so that all of a channel lies in one run.
    """
    if x.strides[0] == x.itemsize and len(x) > 1:
        return (1, *range(2, x.ndim), 0)
    return (1, 0, *range(2, x.ndim))


def restore(rows: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Undo `channels_view`: ``rows`` as an array of ``shape`` (N, C, *spatial), never a copy."""
    if len(shape) == 2:
        return rows.T
    y = rows.reshape([shape[axis] for axis in axes])
    return y.transpose([axes.index(axis) for axis in range(len(axes))])


# -- Sums -----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def ones(n: int, dtype: np.dtype) -> np.ndarray:
    """n ones, read-only, made once for each length: a sum is a matrix product with them."""
    vector = np.ones(n, dtype)
    vector.flags.writeable = False
    return vector


def row_sum(x: np.ndarray) -> np.ndarray:
    """Sums of the rows of ``x`` (groups, m), as a column; up to 5 times faster than x.sum."""
    return x.dot(ones(x.shape[1], x.dtype))[:, None]  # .dot: half the time of @ for small x


def row_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Inner products of the rows of ``x`` with those of ``y``, as a column."""
    if x.strides[1] == x.itemsize:
        return np.vecdot(x, y)[:, None]
    return row_sum(x * y)  # rows that are no runs in memory: vecdot is slower there


# -- Checks: bad input stops here, with what was expected, what came and the likely cause ---------


def check_array(x: np.ndarray, name: str = "x") -> None:
    """Raise TypeError unless ``x`` is a plain float32 or float64 array."""
    plain = isinstance(x, np.ndarray) and not isinstance(x, (np.ma.MaskedArray, np.matrix))
    if not plain or x.dtype not in (np.float32, np.float64):
        came = f"{x.dtype} array" if plain else type(x).__name__
        raise TypeError(
            f"expected {name} as a float32 or float64 array, got a {came}: convert it first, for "
            f"example np.asarray({name}, dtype=np.float64)"
        )


def as_array(name: str, value: np.ndarray) -> np.ndarray:
    """``value`` as an array of real numbers; raises TypeError for what is none."""
    try:
        array = np.asarray(value)
        masked = isinstance(value, np.ma.MaskedArray)
    except ValueError:  # rows of different lengths
        masked = True
    if masked or array.dtype.kind not in "fiu":
        raise TypeError(f"expected real numbers in {name}, got {value!r:.80}")
    return array


def check_input(x: np.ndarray, eps: float, **vectors: np.ndarray) -> tuple:
    """Check the arguments of a normalization over channels.

    ``vectors`` have one number a channel. Returns ``eps`` as a float and every vector as a column
    (C, 1) of x.dtype.
    """
    check_array(x)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(
            f"expected x of shape (N, D) or (N, C, *spatial) with N >= 1, got {x.shape}: "
            "the batch is the first axis, the features or channels are the second"
        )
    n, c = x.shape[:2]
    for name, v in vectors.items():
        vectors[name] = v = as_array(name, v)
        if v.shape != (c,):
            hint = "one number per feature or channel, which is axis 1 of x"
            if x.ndim == 2 and v.shape == (n,):
                hint = "did you mean x.T?"
            raise ValueError(
                f"expected {name} of shape ({c},) for x of shape {x.shape}, got {v.shape}: {hint}"
            )
    columns = [v.astype(x.dtype, copy=False)[:, None] for v in vectors.values()]
    return check_eps(eps, x.dtype), *columns


def check_last_axes(x: np.ndarray, eps: float, **vectors: np.ndarray) -> tuple:
    """Check the arguments of a normalization over the last axes of x, those that gamma has.

    ``vectors`` have one number for each number of a group. Returns ``eps`` as a float and every
    vector with its shape, in x.dtype.
    """
    check_array(x)
    checked = {name: as_array(name, v) for name, v in vectors.items()}
    shape = checked["gamma"].shape
    if not shape or 0 in x.shape or shape != x.shape[-len(shape) :]:
        hint = "the statistics are taken over these axes"
        if x.ndim == 2 and shape == x.shape[:1]:
            hint = "did you mean x.T?"
        elif x.ndim > 2 and shape == x.shape[1:2]:
            hint = "one number a channel is what group_norm and instance_norm take"
        raise ValueError(
            f"expected gamma shaped like the last axes of x, such as {x.shape[-1:]} for x of shape "
            f"{x.shape}, got {shape}: {hint}"
        )
    for name, v in checked.items():
        if v.shape != shape:
            raise ValueError(f"expected {name} of shape {shape}, that of gamma, got {v.shape}")
    return check_eps(eps, x.dtype), *[v.astype(x.dtype, copy=False) for v in checked.values()]


def check_num_groups(channels: int, num_groups: int) -> int:
    """Return ``num_groups`` as an int; raise ValueError unless it divides the channels."""
    if channels % check_int("expected num_groups", num_groups):
        raise ValueError(
            f"expected num_groups that divides the {channels} channels, got {num_groups}: every "
            "group has the same number of channels"
        )
    return int(num_groups)


def check_eps(eps: float, dtype: np.dtype) -> float:
    """Return ``eps`` as a float: finite, at least 0, and not lost in ``dtype``."""
    if not isinstance(eps, (float, Real)) or not 0 <= eps < np.inf:
        raise ValueError(
            f"expected eps >= 0, a finite number, got {eps!r}: it is added to the variance, and "
            "keeps a feature of variance 0 from dividing by 0"
        )
    eps, limits = float(eps), np.finfo(dtype)
    if 0 < eps < float(limits.tiny) or eps > float(limits.max):
        raise ValueError(
            f"expected an eps that {dtype} can hold, got {eps:.3g}, which it cannot tell from "
            f"{'0' if eps < 1 else 'infinity'}: use 1e-5, or float64"
        )
    return eps


def check_gradient(dy: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Check that ``dy`` is real and has ``shape``, the shape of y; returns it as ``dtype``."""
    dy = as_array("dy", dy)
    if dy.shape != shape:
        raise ValueError(
            f"backward expected dy of shape {shape}, the shape of y, got {dy.shape}: dy is the "
            "gradient of the loss with respect to y"
        )
    return dy.astype(dtype, copy=False)


def check_int(what: str, value: int, least: int = 1) -> int:
    """Return ``value`` as an int; raise ValueError unless it is a whole number >= ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{what} >= {least}, a whole number, got {value!r:.80}")
    return int(value)


def check_has(what: str, value: object, name: str) -> None:
    """Raise TypeError unless ``value`` has the attribute ``name``, by which its kind is known."""
    if not hasattr(value, name):
        raise TypeError(f"{what}, got {type(value).__name__}")


def check_dtype(owner: str, dtype: type) -> np.dtype:
    """Return ``dtype`` as np.dtype; raise TypeError unless it is float32 or float64."""
    try:
        known = np.dtype(dtype)
    except TypeError:
        known = None
    if known not in (np.float32, np.float64):
        raise TypeError(f"{owner} expected dtype float32 or float64, got {dtype!r:.80}")
    return known


def check_real(what: str, value: float, least: float = 0.0, most: float = np.inf) -> float:
    """Return ``value``; raise ValueError unless it is a finite number in [least, most]."""
    if not isinstance(value, (float, Real)) or not (least <= value <= most and isfinite(value)):
        raise ValueError(f"{what}, got {value!r:.80}")
    return value


def check_divisible(x: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float) -> None:
    """Raise ValueError where the standard deviation cannot be divided by.

    That is where a channel of ``x`` has one value only, or, at eps 0, where all of its values are
    equal but for rounding. ``mean`` and ``var`` are its statistics, columns.
    """
    if x.size == x.shape[1]:
        raise ValueError(
            "BatchNorm in training mode needs more than one value per channel, got x of shape "
            f"{x.shape}: the variance of one value is 0. Use .eval() for single examples, or a "
            "larger batch"
        )
    if eps < np.finfo(var.dtype).tiny:
        _check_spread("channel", channels_view(x), mean, var)


def check_groups(
    x: np.ndarray, groups: np.ndarray, mean: np.ndarray | None, var: np.ndarray, eps: float
) -> None:
    """Like `check_divisible`, for the rows of ``groups``, which are those of ``x`` regrouped.

    Without a mean (None), ``var`` is the mean square, and a group may be constant but not 0.
    """
    if groups.shape[1] == 1:
        raise ValueError(
            f"expected more than one value in each group, got groups of one in x of shape {x.shape}"
            ": normalised by itself, a value loses its size. Layer norm needs features, instance "
            "norm positions (N, C, H, W), group norm fewer groups than channels or positions"
        )
    if eps < np.finfo(var.dtype).tiny:
        _check_spread("group", groups, mean, var)


def _check_spread(row, rows, mean, var):
    """Raise ValueError if all values of a row are equal (or 0, if mean is None)."""
    limits = np.finfo(var.dtype)
    flat = var < limits.tiny
    if mean is not None:
        flat |= var < (4 * limits.eps * mean) ** 2
        flat |= rows.min(axis=1, keepdims=True) == rows.max(axis=1, keepdims=True)
    if flat.any():
        what = "mean square" if mean is None else "variance"
        raise ValueError(
            f"{row} {int(np.argmax(flat))} has the {what} 0 (but for rounding) and eps is 0: "
            "there is nothing to divide by. Use eps=1e-5, the usual value"
        )


def check_finite(
    shows: np.ndarray, y: np.ndarray, row: str = "channel", **inputs: np.ndarray
) -> None:
    """Raise NonFiniteError, naming the cause, if there is a NaN or an infinity in ``y``.

    ``shows`` is quick to look at, a column that is finite where y is. ``inputs`` are what y was
    computed from: first x or dy, with a ``row`` in each row like y, which is named if it is too
    large; then what has a channel in each row.
    """
    if isfinite(np.vdot(shows, shows)):
        return
    well = np.isfinite(shows[:, 0]) & np.isfinite(y).all(axis=1)
    if well.all():  # only the square of shows was too large
        return
    (name, x), k = next(iter(inputs.items())), int(np.argmin(well))
    for v_name, v in inputs.items():
        if not (finite := np.isfinite(v).all(axis=1)).all():
            where = f"{row if v is x else 'channel'} {int(np.argmin(finite))}"
            raise NonFiniteError(
                f"expected finite numbers in {v_name}, got NaN or infinity in {where}: "
                "has the network diverged, or is the data unclean?"
            )
    size, limit = np.abs(x[k]).max(), np.finfo(x.dtype).max
    raise NonFiniteError(
        f"{name} holds numbers up to {size:.3g} in {row} {k}, and the result or the "
        f"variance on the way to it is beyond {limit:.2g}, the largest {x.dtype}: has the network "
        "diverged, or does the data need another unit?"
    )
