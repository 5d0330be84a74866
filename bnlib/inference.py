"""Test time: population statistics, and folding BatchNorm away."""

from __future__ import annotations

import copy

import numpy as np

from bnlib.convolution import Conv2d
from bnlib.data import Data
from bnlib.layers import Dense, Residual, check_value
from bnlib.network import Sequential, check_network
from bnlib.norms import BatchNorm
from bnlib.threads import one_blas_thread
from bnlib.views import check_has, check_int


def fold_batchnorm(net: Sequential) -> Sequential:
    """A network without the BatchNorm layers that follow a linear layer, equal in eval mode.

    A BatchNorm in evaluation mode is affine, so the layer before it can absorb it:

        s = gamma / sqrt(running_var + eps),   W' = W * s,   b' = beta + (b - running_mean) * s

    with s along the output features of a Dense, the output channels of a Conv2d. The result
    computes the same function with fewer passes over memory; ``net`` is unchanged. A BatchNorm
    that follows a nonlinearity stays. Returns a new `Sequential` in evaluation mode. Raises
    ValueError for a BatchNorm whose running statistics are missing, or cannot be divided by, and
    for weights that are not finite.
    Source: Ioffe & Szegedy 2015, section 3.1 and Algorithm 2.
    """
    check_network("fold_batchnorm", net)
    return Sequential(_folded(net.layers)).eval()


def _folded(layers):
    folded = []
    for layer in layers:
        if isinstance(layer, BatchNorm) and folded and isinstance(folded[-1], (Dense, Conv2d)):
            folded[-1] = _fold(folded[-1], layer)
        elif isinstance(layer, Residual):
            folded.append(Residual(_folded(layer.branch)))
        else:
            folded.append(copy.deepcopy(layer))
    return folded


def _fold(linear, bn):
    if bn.running_var is None:
        raise ValueError(
            f"fold_batchnorm expected running statistics in {bn}, got track_running_stats=False: "
            "without them the output depends on the batch, and no fixed weights can replace it"
        )
    var = bn.running_var
    wrong = ~((var >= 0) & (var + bn.eps > 0) & (var < np.inf))
    if wrong.any():
        raise ValueError(
            f"fold_batchnorm expected finite running_var >= 0 and running_var + eps > 0 in {bn}, "
            f"got {var[wrong][0]:.3g} and eps = {bn.eps:.3g}"
        )
    scale = bn.gamma / np.sqrt(var + bn.eps)
    dtype = linear.weight.dtype
    if isinstance(linear, Conv2d):
        settings = linear.kernel_size, linear.stride, linear.padding
        folded = Conv2d(linear.in_channels, linear.out_channels, *settings, dtype=dtype)
        scale_of_weight = scale[:, None, None, None]  # the output channels are the first axis
    else:
        folded = Dense(linear.in_features, linear.out_features, dtype=dtype)
        scale_of_weight = scale
    bias = 0 if linear.bias is None else linear.bias
    with np.errstate(all="ignore"):  # check_value looks at the results
        weight, bias = linear.weight * scale_of_weight, bn.beta + (bias - bn.running_mean) * scale
    for name, value in (("weight", weight), ("bias", bias)):
        target = folded.params[name]
        target[...] = check_value(f"fold_batchnorm of {bn}", name, target, value)
    return folded


@one_blas_thread()
def population_statistics(
    net: Sequential, data: Data, batch_size: int = 1000, n: int | None = None
) -> Sequential:
    """Set every BatchNorm's running statistics from the training set, in one pass.

    Running averages trail the weights, which moved while they were collected. Here the finished
    network sees the first ``n`` training images (default: all) once in training mode, and each
    BatchNorm keeps the plain average over the batches of the batch mean and of the unbiased batch
    variance, m / (m - 1) * var_B, as the paper prescribes. Incomplete batches are dropped. A
    BatchRenorm averages what it always does; its warm-up starts anew if training goes on.

    Changes ``net`` in place and returns it; its mode and every momentum are restored. Raises
    ValueError if there is not one whole batch. After an error everything is as it was.
    Source: Ioffe & Szegedy 2015, Algorithm 2; "PreciseBN" in Wu & Johnson 2021 (arXiv:2105.07576).
    """
    check_network("population_statistics", net)
    check_has("population_statistics expected data as load_mnist() returns it", data, "x_train")
    n = len(data.x_train) if n is None else n
    for name, value in (("batch_size", batch_size), ("n", n)):
        check_int(f"population_statistics expected {name}", value)
    if not 2 <= batch_size <= n <= len(data.x_train):
        raise ValueError(
            f"expected 2 <= batch_size <= n <= {len(data.x_train)}, got {batch_size} and {n}"
        )
    with net.as_it_was():
        for _, bn in net.leaves():
            if isinstance(bn, BatchNorm) and bn.track_running_stats:
                bn.momentum = None  # a plain average of all batches from here on
                bn.running_mean, bn.running_var = 0, 1  # NaN would outlive a weight of 0
                bn.buffers["num_batches_tracked"][...] = 0
        net.train()
        for start in range(0, n - batch_size + 1, batch_size):
            net(data.batch(slice(start, start + batch_size), net.dtype)[0])
        averages = {name: buffer.copy() for name, buffer in net.buffers.items()}
    for name, buffer in net.buffers.items():
        buffer[...] = averages[name]
    return net
