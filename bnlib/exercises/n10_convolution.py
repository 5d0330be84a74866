"""Notebook 06: batch normalization of feature maps (Ioffe & Szegedy 2015, section 3.2)."""

import numpy as np

from .engine import Exercise, Mistake, properties
from .engine.probes import betas, conv_probes, gammas, gradients

# ---------------------------------------------------------------- solutions


def bn_conv_forward(x, gamma, beta, eps):
    """Batch normalization of feature maps in training.

    x: array (N, C, H, W), images, channels, height, width.  gamma, beta: arrays (C,), one number a
    channel.  eps: a small number > 0.
    Returns y, array (N, C, H, W): each channel normalised over all images and positions.
    """
    mean = x.mean(axis=(0, 2, 3), keepdims=True)  # shape (1, C, 1, 1)
    var = ((x - mean) ** 2).mean(axis=(0, 2, 3), keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma.reshape(1, -1, 1, 1) * xhat + beta.reshape(1, -1, 1, 1)


def bn_conv_backward(dy, x, gamma, eps):
    """The gradients of bn_conv_forward.

    dy: array (N, C, H, W), the gradient of the loss with respect to y.  x: array (N, C, H, W).
    gamma: array (C,).  eps: a small number > 0.
    Returns dx, array (N, C, H, W), and dgamma, dbeta, arrays (C,).
    """
    axes = (0, 2, 3)
    inv_std = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    xhat = (x - x.mean(axis=axes, keepdims=True)) * inv_std
    dx = dy - dy.mean(axis=axes, keepdims=True)
    dx = dx - xhat * (dy * xhat).mean(axis=axes, keepdims=True)
    dx = gamma.reshape(1, -1, 1, 1) * inv_std * dx
    return dx, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)


# ---------------------------------------------------------------- references

PER_CHANNEL = (0, 2, 3)


def _by_channel(v):
    return v[:, None, None] if np.ndim(v) == 1 else v


def _normalise(x, eps, axes=PER_CHANNEL, ddof=0):
    deviations = x - x.mean(axes, keepdims=True)
    std = np.sqrt(x.var(axes, keepdims=True, ddof=ddof) + eps)
    return deviations / std, std


def _forward(x, gamma, beta, eps, axes=PER_CHANNEL):
    return _by_channel(gamma) * _normalise(x, eps, axes)[0] + _by_channel(beta)


def _backward(
    dy, x, gamma, eps, *, axes=PER_CHANNEL, ddof=0, mean_path=1.0, var_path=1.0, count=None
):
    """The keywords break something (for mistakes). count: by what the sums in dx are divided."""
    xhat, std = _normalise(x, eps, axes, ddof)
    count = count(x) if count else x.size / std.size
    keep = {"axis": axes, "keepdims": True}
    dx = dy - mean_path * dy.sum(**keep) / count - var_path * xhat * (dy * xhat).sum(**keep) / count
    return (
        _by_channel(gamma) / std * dx,
        (dy * xhat).sum(PER_CHANNEL),
        dy.sum(PER_CHANNEL),
    )


# ---------------------------------------------------------------- mistakes of the forward pass


def _statistics_over(*axes):
    return lambda x, gamma, beta, eps: _forward(x, gamma, beta, eps, axes)


def _with_xhat(formula):
    return lambda x, gamma, beta, eps: formula(_normalise(x, eps)[0], gamma, beta)


def _over(divisor):
    """(x - mean) over divisor(x, variance, eps)."""

    def wrong(x, gamma, beta, eps):
        deviations = x - x.mean(PER_CHANNEL, keepdims=True)
        var = x.var(PER_CHANNEL, keepdims=True)
        return _by_channel(gamma) * deviations / divisor(x, var, eps) + _by_channel(beta)

    return wrong


def _divided_by_images_only(x, gamma, beta, eps):
    mean = x.sum(PER_CHANNEL, keepdims=True) / len(x)
    var = ((x - mean) ** 2).sum(PER_CHANNEL, keepdims=True) / len(x)
    return _by_channel(gamma) * (x - mean) / np.sqrt(var + eps) + _by_channel(beta)


def _rows_without_transpose(x, gamma, beta, eps):
    flat = x.reshape(-1, x.shape[1])
    return (gamma * _normalise(flat, eps, (0,))[0] + beta).reshape(x.shape)


def _reshaped_back_without_transpose(x, gamma, beta, eps):
    flat = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])
    return (gamma * _normalise(flat, eps, (0,))[0] + beta).reshape(x.shape)


def _statistics_along_width(x, gamma, beta, eps):
    return _all_along_width(x, _by_channel(gamma), _by_channel(beta), eps)


def _all_along_width(x, gamma, beta, eps):
    return gamma * (x - x.mean(PER_CHANNEL)) / np.sqrt(x.var(PER_CHANNEL) + eps) + beta


def _one_pass(x, gamma, beta, eps):
    mean = x.mean(PER_CHANNEL, keepdims=True)
    var = (x**2).mean(PER_CHANNEL, keepdims=True) - mean**2
    return _by_channel(gamma) * (x - mean) / np.sqrt(var + eps) + _by_channel(beta)


FORWARD_MISTAKES = (
    Mistake(
        "statistics-per-position",
        "Each position of each channel has a mean and variance of its own, taken over the images "
        "only (axis 0). A convolution uses the same weights at every position: how many means "
        "should C channels have?",
        _statistics_over(0),
    ),
    Mistake(
        "statistics-per-image",
        "Each channel of each image is normalised by itself; that is instance normalization. What "
        "does batch normalization take its statistics over, besides the positions?",
        _statistics_over(2, 3),
    ),
    Mistake(
        "statistics-over-channels",
        "Each image is normalised as a whole, over its channels and positions; that is layer "
        "normalization. Are the numbers of two channels of the same kind?",
        _statistics_over(1, 2, 3),
    ),
    Mistake(
        "global-statistics",
        "There is one mean and one variance for the whole array. How many channels are there, and "
        "may they share a mean?",
        _statistics_over(0, 1, 2, 3),
    ),
    Mistake(
        "channels-last",
        "The statistics are taken over axes 0, 1 and 2: right if the channels were the last axis, "
        "(N, H, W, C). Which axis numbers the channels of x here?",
        _statistics_over(0, 1, 2),
    ),
    Mistake(
        "batch-and-channel-axes",
        "The statistics are taken over axes 0 and 1, so one position has one mean for all its "
        "channels. Which axis should be left over?",
        _statistics_over(0, 1),
    ),
    Mistake(
        "only-over-height",
        "The statistics are taken over axes 0 and 2: each column of pixels has its own. How many "
        "axes does one channel's data have?",
        _statistics_over(0, 2),
    ),
    Mistake(
        "only-over-width",
        "The statistics are taken over axes 0 and 3: each row of pixels has its own. How many axes "
        "does one channel's data have?",
        _statistics_over(0, 3),
    ),
    Mistake(
        "only-over-channels",
        "The statistics are taken over the channels (axis 1) of each position. Which axis should "
        "be left over?",
        _statistics_over(1),
    ),
    Mistake(
        "count-without-positions",
        "The sums over images and positions are divided by N alone. How many numbers are summed "
        "for one channel?",
        _divided_by_images_only,
    ),
    Mistake(
        "variance-of-image-means",
        "The variance is that of the images' means. What is lost when each image is averaged "
        "first?",
        _over(
            lambda x, var, eps: np.sqrt(x.mean((2, 3), keepdims=True).var(0, keepdims=True) + eps)
        ),
    ),
    Mistake(
        "mean-of-image-variances",
        "The variance is the mean of the images' own variances. What if each image is constant, "
        "but each another constant?",
        _over(
            lambda x, var, eps: np.sqrt(x.var((2, 3), keepdims=True).mean(0, keepdims=True) + eps)
        ),
    ),
    Mistake(
        "rows-without-transpose",
        "x is reshaped to (-1, C) as it lies in memory, which mixes the channels: reshape never "
        "reorders. Where must the channel axis stand before that?",
        _rows_without_transpose,
    ),
    Mistake(
        "reshaped-back-without-transpose",
        "The statistics are right, but the result is reshaped to (N, C, H, W) while its channels "
        "are still the last axis. What undoes a transpose?",
        _reshaped_back_without_transpose,
    ),
    Mistake(
        "statistics-along-width",
        "The C means and variances are laid along the last axis, the width: an error, or, when "
        "C = W, silently wrong numbers. Which shape do they need to lie along axis 1, and what "
        "does keepdims=True do?",
        _statistics_along_width,
    ),
    Mistake(
        "all-along-width",
        "Means, variances, gamma and beta, C numbers each, are all laid along the last axis, the "
        "width: an error, or, when C = W, silently wrong numbers. With which shape do they lie "
        "along axis 1, and what does keepdims=True do?",
        _all_along_width,
    ),
    Mistake(
        "gamma-along-width",
        "gamma and beta, of shape (C,), are laid along the last axis, the width: an error, or, "
        "when C = W, silently wrong numbers. With which shape do they lie along axis 1?",
        _with_xhat(lambda xhat, gamma, beta: gamma * xhat + beta),
    ),
    Mistake(
        "gamma-along-height",
        "gamma and beta are laid along axis 2, the height. With which shape do they lie along axis "
        "1?",
        _with_xhat(lambda xhat, gamma, beta: gamma[:, None] * xhat + beta[:, None]),
    ),
    Mistake(
        "gamma-along-batch",
        "gamma and beta are laid along axis 0, the images. With which shape do they lie along axis "
        "1?",
        _with_xhat(
            lambda xhat, gamma, beta: gamma.reshape(-1, 1, 1, 1) * xhat + beta.reshape(-1, 1, 1, 1)
        ),
    ),
    Mistake(
        "gamma-beta-swapped",
        "gamma and beta have changed places. Which of them scales, and which shifts?",
        _with_xhat(lambda xhat, gamma, beta: _by_channel(beta) * xhat + _by_channel(gamma)),
    ),
    Mistake(
        "gamma-beta-missing",
        "The output is xhat itself: gamma and beta are not used. Why does the paper add them?",
        _with_xhat(lambda xhat, gamma, beta: xhat),
    ),
    Mistake(
        "gamma-missing",
        "gamma is not used. With what should each channel of xhat be multiplied?",
        _with_xhat(lambda xhat, gamma, beta: xhat + _by_channel(beta)),
    ),
    Mistake(
        "beta-missing",
        "beta is not used. What is the mean of each channel of y?",
        _with_xhat(lambda xhat, gamma, beta: _by_channel(gamma) * xhat),
    ),
    Mistake(
        "mean-not-subtracted",
        "The mean is not subtracted. Where are the centres of your output's channels?",
        lambda x, gamma, beta, eps: (
            _by_channel(gamma) * x / _normalise(x, eps)[1] + _by_channel(beta)
        ),
    ),
    Mistake(
        "eps-missing",
        "eps is not used. What does your code compute for a channel that is constant?",
        _over(lambda x, var, eps: np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. Is it added to the standard deviation or to the "
        "variance?",
        _over(lambda x, var, eps: np.sqrt(var) + eps),
    ),
    Mistake(
        "variance-not-root",
        "You divide by the variance. Which function is missing?",
        _over(lambda x, var, eps: var + eps),
    ),
    Mistake(
        "unbiased-variance",
        "The variance is divided by N * H * W - 1. Which variance does the paper use to normalise "
        "a batch?",
        _over(lambda x, var, eps: np.sqrt(x.var(PER_CHANNEL, keepdims=True, ddof=1) + eps)),
    ),
    Mistake(
        "one-pass-variance",
        "The variance loses its digits when the mean is large, because large numbers cancel in it "
        "(as in the mean of x squared minus the squared mean). What could be subtracted before "
        "squaring?",
        _one_pass,
        only_on="large mean",
        confirm=properties.variance_loses_digits,
    ),
)


# ---------------------------------------------------------------- mistakes of the backward pass


def _broken(**how):
    return lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, **how)


def _with(dx=None, dgamma=None, dbeta=None):
    """Right, but for the outputs given as functions of (right value, dy, x, xhat, std, gamma)."""

    def wrong(dy, x, gamma, eps):
        xhat, std = _normalise(x, eps)
        right = _backward(dy, x, gamma, eps)
        return tuple(
            f(value, dy, x, xhat, std, gamma) if f else value
            for f, value in zip((dx, dgamma, dbeta), right, strict=True)
        )

    return wrong


def _one_pass_backward(dy, x, gamma, eps):
    keep = {"axis": PER_CHANNEL, "keepdims": True}
    mean = x.mean(**keep)
    std = np.sqrt((x**2).mean(**keep) - mean**2 + eps)
    xhat = (x - mean) / std
    dx = dy - dy.mean(**keep) - xhat * (dy * xhat).mean(**keep)
    return _by_channel(gamma) / std * dx, (dy * xhat).sum(PER_CHANNEL), dy.sum(PER_CHANNEL)


def _other_gamma(shape_of):
    """dx with gamma laid out otherwise."""
    return _with(
        dx=lambda dx, dy, x, xhat, std, gamma: (
            shape_of(gamma)
            / std
            * (
                dy
                - dy.mean(PER_CHANNEL, keepdims=True)
                - xhat * (dy * xhat).mean(PER_CHANNEL, keepdims=True)
            )
        )
    )


# As in backward.py, first the mistakes in what dx is often computed from.
BACKWARD_MISTAKES = (
    Mistake(
        "dgamma-dbeta-per-position",
        "dgamma and dbeta are summed over the images only: they have the shape (C, H, W). All "
        "positions of a channel use the same gamma: over which axes is its gradient collected?",
        _with(
            dgamma=lambda right, dy, x, xhat, std, gamma: (dy * xhat).sum(0),
            dbeta=lambda right, dy, x, xhat, std, gamma: dy.sum(0),
        ),
    ),
    Mistake(
        "dgamma-dbeta-per-image",
        "dgamma and dbeta are summed over the positions only: they have the shape (N, C). All "
        "images use the same gamma: over which axes is its gradient collected?",
        _with(
            dgamma=lambda right, dy, x, xhat, std, gamma: (dy * xhat).sum((2, 3)),
            dbeta=lambda right, dy, x, xhat, std, gamma: dy.sum((2, 3)),
        ),
    ),
    Mistake(
        "dgamma-dbeta-keepdims",
        "dgamma and dbeta have the shape (1, C, 1, 1). Which shape has gamma, and what does "
        "keepdims=True do?",
        _with(
            dgamma=lambda right, *_: right[None, :, None, None],
            dbeta=lambda right, *_: right[None, :, None, None],
        ),
    ),
    Mistake(
        "dgamma-dbeta-averaged",
        "dgamma and dbeta are averaged. Every position of every image uses the same gamma and "
        "beta: how are the gradients of several uses combined?",
        _with(
            dgamma=lambda right, dy, x, xhat, std, gamma: (dy * xhat).mean(PER_CHANNEL),
            dbeta=lambda right, dy, x, xhat, std, gamma: dy.mean(PER_CHANNEL),
        ),
    ),
    Mistake(
        "dgamma-dbeta-averaged-over-positions",
        "dgamma and dbeta are averaged over the positions and summed over the images. How are the "
        "gradients of several uses of one gamma combined?",
        _with(
            dgamma=lambda right, dy, x, xhat, std, gamma: (dy * xhat).mean((2, 3)).sum(0),
            dbeta=lambda right, dy, x, xhat, std, gamma: dy.mean((2, 3)).sum(0),
        ),
    ),
    Mistake(
        "dgamma-dbeta-swapped",
        "dgamma and dbeta have changed places. Which of the two multiplies xhat in the forward "
        "pass, so that xhat is in its gradient?",
        _with(
            dgamma=lambda right, dy, *_: dy.sum(PER_CHANNEL),
            dbeta=lambda right, dy, x, xhat, std, gamma: (dy * xhat).sum(PER_CHANNEL),
        ),
    ),
    Mistake(
        "dgamma-with-x",
        "dgamma is computed with x in place of xhat. What does gamma multiply in the forward pass?",
        _with(dgamma=lambda right, dy, x, *_: (dy * x).sum(PER_CHANNEL)),
    ),
    Mistake(
        "statistics-per-position",
        "dx is that of statistics over the images only (axis 0). Over which axes does the forward "
        "pass take them?",
        _broken(axes=(0,)),
    ),
    Mistake(
        "statistics-per-image",
        "dx is that of statistics over the positions of each image (instance normalization). Over "
        "which axes does the forward pass take them?",
        _broken(axes=(2, 3)),
    ),
    Mistake(
        "statistics-over-channels",
        "dx is that of statistics over the channels and positions of each image (layer "
        "normalization). Over which axes does the forward pass take them?",
        _broken(axes=(1, 2, 3)),
    ),
    Mistake(
        "global-statistics",
        "dx is that of one mean and one variance for the whole array. How many channels are there?",
        _broken(axes=(0, 1, 2, 3)),
    ),
    Mistake(
        "channels-last",
        "The statistics are taken over axes 0, 1 and 2, as if the channels were the last axis. "
        "Which axis numbers the channels of x here?",
        _broken(axes=(0, 1, 2)),
    ),
    Mistake(
        "count-without-positions",
        "The sums in dx are divided by N alone, not by all the numbers that were summed. How many "
        "numbers share one mean?",
        _broken(count=len),
    ),
    Mistake(
        "count-without-images",
        "The sums in dx are divided by H * W, not by all the numbers that were summed. How many "
        "numbers share one mean?",
        _broken(count=lambda x: x.shape[2] * x.shape[3]),
    ),
    Mistake(
        "not-averaged",
        "The sums in dx are not divided by anything. The mean is a sum over how many numbers?",
        _broken(count=lambda x: 1),
    ),
    Mistake(
        "statistics-detached",
        "dx has only the direct path: mean and variance are treated as constants. Along which "
        "further paths does one number of x reach the loss?",
        _broken(mean_path=0.0, var_path=0.0),
    ),
    Mistake(
        "mean-path-missing",
        "The path through the mean is missing in dx. If a whole channel of x grows by the same "
        "amount, y does not change: what does that say about the sum of dx over a channel?",
        _broken(mean_path=0.0),
    ),
    Mistake(
        "variance-path-missing",
        "The path through the variance is missing in dx. If the deviations of a channel grow by "
        "one per cent, what happens to xhat?",
        _broken(var_path=0.0),
    ),
    Mistake(
        "variance-path-sign",
        "The path through the variance has the wrong sign. Does xhat grow or shrink when the "
        "variance grows?",
        _broken(var_path=-1.0),
    ),
    Mistake(
        "unbiased-variance",
        "The standard deviation is computed with N * H * W - 1. Which variance does the forward "
        "pass use?",
        _broken(ddof=1),
    ),
    Mistake(
        "one-pass-variance",
        "The variance loses its digits when the mean is large, because large numbers cancel in it "
        "(as in the mean of x squared minus the squared mean). What could be subtracted before "
        "squaring?",
        _one_pass_backward,
        only_on="large mean",
        confirm=properties.variance_loses_digits,
    ),
    Mistake(
        "size-of-the-array",
        "The sums in dx are divided by x.size, which counts all channels. How many numbers share "
        "one mean?",
        _broken(count=lambda x: x.size),
    ),
    Mistake(
        "eps-missing",
        "eps is not used. What does the forward pass divide by?",
        lambda dy, x, gamma, eps: _backward(dy, x, gamma, 0.0),
    ),
    Mistake(
        "gamma-missing-dx",
        "gamma is missing in dx. What is the gradient with respect to xhat, given that with "
        "respect to y?",
        _other_gamma(lambda gamma: 1.0),
    ),
    Mistake(
        "gamma-along-width",
        "In dx, gamma lies along the last axis, the width: an error, or, when C = W, silently "
        "wrong numbers. With which shape does it lie along axis 1?",
        _other_gamma(lambda gamma: gamma),
    ),
    Mistake(
        "gamma-along-height",
        "In dx, gamma lies along axis 2, the height. With which shape does it lie along axis 1?",
        _other_gamma(lambda gamma: gamma[:, None]),
    ),
    Mistake(
        "dx-not-divided",
        "dx is not divided by the standard deviation. If x is measured in other units, what "
        "happens to xhat, and what should happen to dx?",
        _with(dx=lambda dx, dy, x, xhat, std, gamma: dx * std),
    ),
    Mistake(
        "dx-zero",
        "dx is zero everywhere. That is right for a constant dy, the reason why a gradient check "
        "with dy = 1 tests nothing: what if dy differs from place to place?",
        _with(dx=lambda dx, dy, x, xhat, std, gamma: 0 * dx),
    ),
)


# ---------------------------------------------------------------- the exercises

bn_conv_forward = Exercise(
    bn_conv_forward,
    reference=_forward,
    returns=["y"],
    mistakes=FORWARD_MISTAKES,
    probes=lambda: conv_probes(
        lambda rng, x, eps: {
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "beta": betas(rng, x.shape[1]),
            "eps": eps,
        }
    ),
    properties=(properties.positions_share_statistics, *properties.FORWARD),
    hints=(
        "The same weights produced a channel at every position of every image. So all N * H * W "
        "numbers of a channel are one batch of one feature.",
        "1. Mean and variance over three of the four axes: C of each.  2. Normalise.  3. gamma and "
        "beta, one of each a channel, must lie along axis 1.",
        "x.mean(axis=(0, 2, 3), keepdims=True) has the shape (1, C, 1, 1), which fits x by "
        "broadcasting. gamma has to be reshaped to the same shape.",
    ),
)

bn_conv_backward = Exercise(
    bn_conv_backward,
    reference=_backward,
    returns=["dx", "dgamma", "dbeta"],
    mistakes=BACKWARD_MISTAKES,
    probes=lambda: conv_probes(
        lambda rng, x, eps: {
            "dy": gradients(rng, x),
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "eps": eps,
        }
    ),
    properties=properties.BACKWARD,
    hints=(
        "Take your bn_backward. Which axis was the batch there, and which axes are it now?",
        "1. dbeta and dgamma: sums over images and positions.  2. dx: the same three paths, with "
        "means over images and positions.  3. gamma must lie along axis 1.",
        "Write axes = (0, 2, 3) once and use it in every mean and sum, with keepdims=True for "
        "those that are combined with dy or x again, and without for dgamma and dbeta.",
    ),
)
