"""Convolution for images: Conv2d, MaxPool2d and Flatten, from array slices and one matrix product.

Images are (N, C, H, W) everywhere, as in PyTorch. In memory these layers keep the batch as the
*last* axis, (C, H, W, N), and hand out transposed views: shapes and numbers stay the same, yet
every slice of an image below moves whole runs of N numbers, and all values of a channel lie in one
run, which is what BatchNorm sums over. Inputs in the usual memory order are copied once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bnlib.layers import Layer, Linear
from bnlib.views import check_array, check_gradient, check_int, ones

STRIP_BYTES = 2**17  # of im2col at a time: a good part of them stays in a core's L2 cache

Pair = tuple[int, int]  # rows, columns

# -- The two functions that turn a convolution into a matrix product -------------------------------


def im2col(x: np.ndarray, kernel: Pair, stride: Pair = (1, 1)) -> np.ndarray:
    """Lay out every window that a kernel sees as a column ("image to column").

        columns[c, i, j, p, q, n] = x[c, p * stride + i, q * stride + j, n]

    ``x`` (C, H, W, N), batch last and already padded; ``kernel`` and ``stride`` are (rows,
    columns). Returns (C, kh, kw, H', W', N): read as a matrix of C * kh * kw rows, each column is
    one window of one image. The loop runs over the kh * kw offsets inside the kernel, not over the
    positions, and each turn copies one shifted image.
    """
    (kh, kw), (sh, sw) = kernel, stride
    c, h, w, n = x.shape
    rows, cols = output_size((h, w), kernel, stride)
    columns = np.empty((c, kh, kw, rows, cols, n), x.dtype)
    for i in range(kh):
        for j in range(kw):
            columns[:, i, j] = x[:, i : i + sh * rows : sh, j : j + sw * cols : sw]
    return columns


def col2im(columns: np.ndarray, x: np.ndarray, stride: Pair = (1, 1)) -> None:
    """The transpose of `im2col`: add every window to ``x`` (C, H, W, N), in place, where it lay.

    A pixel that lies in several windows gets the sum of them, as the chain rule asks.
    """
    _, kh, kw, rows, cols, _ = columns.shape
    sh, sw = stride
    with small_buffer():
        for i in range(kh):
            for j in range(kw):
                x[:, i : i + sh * rows : sh, j : j + sw * cols : sw] += columns[:, i, j]


@contextmanager
def small_buffer() -> Iterator[None]:
    """For arithmetic on slices of images, up to twice as fast.

    NumPy collects runs of numbers that are shorter than its buffer in the buffer first, and also
    converts masks to floats there. Its buffer of 8192 numbers fills the L1 cache, 1024 do not.
    """
    with np.errstate():  # undoes setbufsize at its end
        np.setbufsize(1024)
        yield


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair = (0, 0)) -> Pair:
    """(H', W') = floor((H + 2 * padding - kernel) / stride) + 1, for rows and columns."""
    axes = zip(size, kernel, stride, padding, strict=True)
    return tuple((s + 2 * p - k) // t + 1 for s, k, t, p in axes)


def pad(x: np.ndarray, padding: Pair) -> np.ndarray:
    """Put ``padding`` (rows, columns) of zeros around the images of ``x`` (C, H, W, N).

    The result lies in memory in the order of its axes, also where x is a transposed view.
    """
    if padding == (0, 0):
        return np.ascontiguousarray(x)
    (ph, pw), (c, h, w, n) = padding, x.shape
    padded = np.zeros((c, h + 2 * ph, w + 2 * pw, n), x.dtype)
    padded[:, ph : ph + h, pw : pw + w] = x
    return padded


def batch_last(x: np.ndarray) -> np.ndarray:
    """View ``x`` (N, C, H, W) as (C, H, W, N); a copy unless the batch is last in memory too."""
    view = x.transpose(1, 2, 3, 0)
    return view if x.strides[0] == x.itemsize else np.ascontiguousarray(view)


def batch_first(x: np.ndarray) -> np.ndarray:
    """View ``x`` (C, H, W, N) as (N, C, H, W); never a copy."""
    return x.transpose(3, 0, 1, 2)


# -- Layers -------------------------------------------------------------------------------------


class Conv2d(Linear):
    """Two-dimensional convolution (a cross-correlation, as in every deep learning library).

        y[n, o, p, q] = b[o] + sum_cij W[o, c, i, j] * x[n, c, p * stride + i, q * stride + j]

    x is (N, in_channels, H, W), zero-padded on all four sides; W (out_channels, in_channels, kh,
    kw); b (out_channels,); y (N, out_channels, H', W') with H' = floor((H + 2 * padding - kh) /
    stride) + 1. `im2col` turns the triple sum into one matrix product. Training and evaluation
    are the same. Use ``bias=False`` before a BatchNorm, which subtracts any constant again.

    Parameters
    ----------
    in_channels, out_channels : C of x and of y
    kernel_size, stride, padding : an int, or a pair (rows, columns)
    std : weights start as N(0, std^2); default 1 / sqrt(in_channels * kh * kw). Biases start at 0
    rng : a seed or a numpy Generator
    dtype : float32 or float64, of the parameters; x must have the same

    Raises ValueError for a wrong shape or an image smaller than the kernel, TypeError for a dtype
    other than the layer's. The trap: channels last, (N, H, W, C), is the order of image files.
    Source: im2col: Chellapilla, Puri & Simard 2006, section 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
        *,
        std: float | None = None,
        rng: int | np.random.Generator = 0,
        dtype: type = np.float64,
    ):
        self.in_channels = check_int("Conv2d expected in_channels", in_channels)
        self.out_channels = check_int("Conv2d expected out_channels", out_channels)
        self.kernel_size = _pair("Conv2d", "kernel_size", kernel_size)
        self.stride = _pair("Conv2d", "stride", stride)
        self.padding = _pair("Conv2d", "padding", padding, least=0)
        shape = (out_channels, in_channels, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        super().__init__(shape, fan_in, bool(bias) * out_channels, std, rng, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._check(x)
        rows, cols = output_size(x.shape[2:], self.kernel_size, self.stride, self.padding)
        x = pad(x.transpose(1, 2, 3, 0), self.padding)
        self._cache = x, rows, cols
        weight, n = self._matrix(self.weight), x.shape[3]
        y = np.empty((self.out_channels, rows * cols * n), x.dtype)
        for strip, part in self._strips():
            columns = im2col(x[:, strip], self.kernel_size, self.stride)
            np.matmul(weight, columns.reshape(weight.shape[1], -1), out=y[:, part])
            del columns  # the next strip gets its memory, which is in the cache
        if self.bias is not None:
            y += self.bias[:, None]
        return batch_first(y.reshape(self.out_channels, rows, cols, n))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, _, _ = self._saved()
        dx = np.zeros_like(x)
        self.backward_params(dy, dx)
        (ph, pw), (_, h, w, _) = self.padding, x.shape
        return batch_first(dx[:, ph : h - ph, pw : w - pw])

    def backward_params(self, dy: np.ndarray, dx: np.ndarray | None = None) -> None:
        """Fill ``grads``, and add the gradient of the padded images to ``dx`` unless it is None."""
        x, rows, cols = self._saved()
        dy = check_gradient(dy, (x.shape[3], self.out_channels, rows, cols), x.dtype)
        dy = batch_last(dy).reshape(self.out_channels, -1)
        weight, dweight = self._matrix(self.weight), self._matrix(self.grads["weight"])
        dweight[...] = 0
        for strip, part in self._strips():
            columns = im2col(x[:, strip], self.kernel_size, self.stride)
            # dW = dy @ columns.T, transposed: BLAS then reads the larger matrix row by row.
            dweight += (columns.reshape(weight.shape[1], -1) @ dy[:, part].T).T
            if dx is not None:
                dcolumns = columns  # the same memory: it is in the cache already
                np.matmul(weight.T, dy[:, part], out=dcolumns.reshape(weight.shape[1], -1))
                col2im(dcolumns, dx[:, strip], self.stride)
                del dcolumns
            del columns
        if self.bias is not None:
            np.matmul(dy, ones(dy.shape[1], dy.dtype), out=self.grads["bias"])  # the row sums

    def _strips(self):
        """Cut the images into strips of rows whose columns fit into the processor's cache.

        Yields pairs of slices: rows of the padded x, and columns of y as a matrix.
        """
        x, rows, cols = self._cache
        (kh, kw), sh = self.kernel_size, self.stride[0]
        row = x.shape[0] * kh * kw * cols * x.shape[3] * x.itemsize  # bytes of columns
        height, step = max(1, STRIP_BYTES // row), cols * x.shape[3]
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            yield slice(top * sh, (bottom - 1) * sh + kh), slice(top * step, bottom * step)

    def _matrix(self, weight):
        """``weight`` as a matrix (out_channels, in_channels * kh * kw), a view."""
        return weight.reshape(self.out_channels, -1)

    def _check(self, x):
        check_array(x)
        c = self.in_channels
        if x.ndim != 4 or x.shape[1] != c:
            hints = {
                2: 'flat images? load_mnist(shape="image") keeps them as (N, 1, 28, 28)',
                3: "one channel needs its axis too: x[:, None]",
            }
            hint = hints.get(x.ndim, "the channels are axis 1")
            if x.ndim == 4 and x.shape[-1] == c:
                hint = "are the channels last? Then x.transpose(0, 3, 1, 2)"
            raise ValueError(f"{self} expected x of shape (N, {c}, H, W), got {x.shape}: {hint}")
        self._check_dtype(x)
        size = output_size(x.shape[2:], self.kernel_size, self.stride, self.padding)
        if len(x) < 1 or min(size) < 1:
            raise ValueError(
                f"{self} expected images of at least kernel_size - 2 * padding on each side, "
                f"got x of shape {x.shape}: were they pooled once too often?"
            )

    def __repr__(self):
        settings = f"{self.in_channels}, {self.out_channels}, {_short(self.kernel_size)}"
        if self.stride != (1, 1):
            settings += f", stride={_short(self.stride)}"
        if self.padding != (0, 0):
            settings += f", padding={_short(self.padding)}"
        return f"Conv2d({settings}{'' if 'bias' in self.params else ', bias=False'})"


class MaxPool2d(Layer):
    """The largest value of every window.

        y[n, c, p, q] = max over i, j of x[n, c, p * stride + i, q * stride + j]

    x (N, C, H, W), y (N, C, H', W') with H' = floor((H - kh) / stride) + 1: rows and columns that
    do not fill a window are left out. The gradient goes to the largest value alone; of equal ones,
    to the first, row by row, as in PyTorch (after a ReLU, ties at 0 are common).

    ``kernel_size`` and ``stride`` (default: kernel_size) are ints or pairs (rows, columns).
    Raises ValueError for a wrong shape or an image smaller than the window.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None):
        super().__init__()
        self.kernel_size = _pair("MaxPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else _pair("MaxPool2d", "stride", stride)

    def forward(self, x: np.ndarray) -> np.ndarray:
        check_array(x)
        kernel, stride = self.kernel_size, self.stride
        if x.ndim != 4 or 0 in x.shape or min(output_size(x.shape[2:], kernel, stride)) < 1:
            raise ValueError(
                f"{self} expected x of shape (N, C, H, W), H and W at least {kernel}, "
                f"got {x.shape}: is the image pooled once too often, or are the channels last?"
            )
        with small_buffer():
            parts = list(self._views(batch_last(x)))
            y = functools.reduce(np.maximum, parts)
            winners, left = [], np.ones(y.shape, bool)  # left: windows without a winner so far
            for part in parts:
                winners.append((part == y) & left)
                left ^= winners[-1]
        self._cache = winners, y.shape, x.shape[2:], x.dtype
        return batch_first(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        winners, (c, rows, cols, n), (h, w), dtype = self._saved()
        dy = check_gradient(dy, (n, c, rows, cols), dtype)
        dy, dx = batch_last(dy), np.zeros((c, h, w, n), dy.dtype)
        overlap = any(s < k for s, k in zip(self.stride, self.kernel_size))
        with small_buffer():
            for view, wins in zip(self._views(dx), winners):
                if overlap:
                    view += dy * wins
                else:
                    np.multiply(dy, wins, out=view)
        return batch_first(dx)

    def _views(self, x):
        """What all windows of x (C, H, W, N) have at an offset, for each offset, row by row."""
        (kh, kw), (sh, sw) = self.kernel_size, self.stride
        rows, cols = output_size(x.shape[1:3], self.kernel_size, self.stride)
        for i in range(kh):
            for j in range(kw):
                yield x[:, i : i + sh * rows : sh, j : j + sw * cols : sw]

    def __repr__(self):
        stride = "" if self.stride == self.kernel_size else f", stride={_short(self.stride)}"
        return f"MaxPool2d({_short(self.kernel_size)}{stride})"


class Flatten(Layer):
    """Reshape (N, C, H, W) to (N, C * H * W), ordered by channel, row, column as in PyTorch."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        check_array(x)
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(f"Flatten expected x of shape (N, ...), got {x.shape}")
        self._cache = x.shape, x.dtype
        return x.reshape(len(x), -1)  # a view, also when the batch is last in memory

    def backward(self, dy: np.ndarray) -> np.ndarray:
        shape, dtype = self._saved()
        return check_gradient(dy, (shape[0], math.prod(shape[1:])), dtype).reshape(shape)


def _pair(layer, name, value, least=1):
    pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        raise ValueError(
            f"{layer} expected {name} as an int >= {least} or a pair of them, got {value!r}"
        )
    return tuple(int(v) for v in pair)


def _short(pair):
    return pair[0] if pair[0] == pair[1] else pair
