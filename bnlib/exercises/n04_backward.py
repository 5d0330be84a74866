"""Notebook 03: the gradient of batch normalization (Ioffe & Szegedy 2015, section 3)."""

import numpy as np

from .engine import Exercise, Mistake, properties
from .engine.probes import dense_probes, gammas, gradients

# ---------------------------------------------------------------- solution


def bn_backward(dy, x, gamma, eps):
    """The gradients of batch normalization in training, y = gamma * xhat + beta.

    dy: array (N, D), the gradient of the loss with respect to y.  x: array (N, D), the input.
    gamma: array (D,).  eps: a small number > 0.
    Returns dx, array (N, D), and dgamma, dbeta, arrays (D,): the gradients of the loss.
    """
    inv_std = 1 / np.sqrt(x.var(axis=0) + eps)
    xhat = (x - x.mean(axis=0)) * inv_std
    dbeta = dy.sum(axis=0)
    dgamma = (dy * xhat).sum(axis=0)
    # Without what dy has in common with the constant 1 and with xhat:
    dx = gamma * inv_std * (dy - dbeta / len(x) - xhat * dgamma / len(x))
    return dx, dgamma, dbeta


# ---------------------------------------------------------------- reference


def _forward(x, eps):
    deviations = x - x.mean(0)
    var = (deviations**2).mean(0)
    return deviations, var, deviations / np.sqrt(var + eps)


def _staged(
    dy,
    x,
    gamma,
    eps,
    *,
    mean_path=1.0,
    var_path=1.0,
    square=2.0,
    power=1.5,
    count=len,
    collected=None,
    spread=None,
):
    """Backward one node at a time, as in the paper. The keywords break one node (for mistakes).

    collected, spread: what stands for the deviations in the gradient of the variance, and where
    that gradient is passed on to x.
    """
    count = count(x)
    deviations, var, xhat = _forward(x, eps)
    dxhat = dy * gamma
    within = deviations if collected is None else collected(x)
    dvar = -0.5 * (dxhat * within).sum(0) * (var + eps) ** -power
    dmean = -(dxhat / np.sqrt(var + eps)).sum(0)  # var does not depend on mean: sum(dev) = 0
    dx = dxhat / np.sqrt(var + eps)
    within = deviations if spread is None else spread(x)
    dx = dx + var_path * dvar * square * within / count + mean_path * dmean / count
    return dx, (dy * xhat).sum(0), dy.sum(0)


# ---------------------------------------------------------------- mistakes


def _broken(**node):
    return lambda dy, x, gamma, eps: _staged(dy, x, gamma, eps, **node)


def _with(dx=None, dgamma=None, dbeta=None):
    """Right, but for the outputs given as functions of a dictionary of all intermediate results."""

    def wrong(dy, x, gamma, eps):
        deviations, var, xhat = _forward(x, eps)
        right = _staged(dy, x, gamma, eps)
        v = {
            "dy": dy,
            "x": x,
            "gamma": gamma,
            "eps": eps,
            "dev": deviations,
            "var": var,
            "xhat": xhat,
            "std": np.sqrt(var + eps),
            "dx": right[0],
            "dgamma": right[1],
            "dbeta": right[2],
        }
        return tuple(f(v) if f else g for f, g in zip((dx, dgamma, dbeta), right, strict=True))

    return wrong


def _projected(v, direct=None, mean=None, along=None):
    """The closed form gamma / std * (direct - mean - along), with parts replaced."""
    direct = v["dy"] if direct is None else direct
    mean = v["dy"].mean(0) if mean is None else mean
    along = v["xhat"] * (v["dy"] * v["xhat"]).mean(0) if along is None else along
    return v["gamma"] / v["std"] * (direct - mean - along)


def _other_variance(divisor_of):
    """All three outputs right, but computed with another standard deviation."""

    def wrong(dy, x, gamma, eps):
        deviations, var, _ = _forward(x, eps)
        inv_std = 1 / divisor_of(deviations, var, eps)
        xhat = deviations * inv_std
        dx = gamma * inv_std * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0))
        return dx, (dy * xhat).sum(0), dy.sum(0)

    return wrong


def _other_forward(divisor, slope):
    """The exact gradients of dev / std, with std = divisor(dev, eps) and slope = d std / d dev."""

    def wrong(dy, x, gamma, eps):
        dev = x - x.mean(0)
        std = divisor(dev, eps)
        xhat = dev / std
        ddev = gamma / std * (dy - (dy * xhat).sum(0) * slope(dev, std, eps))
        return ddev - ddev.mean(0), (dy * xhat).sum(0), dy.sum(0)

    return wrong


def _other_xhat(dy, x, gamma, eps):
    std = np.sqrt(x.var(0) + eps)
    dx = gamma / std * (dy - dy.mean(0) - x / std * (dy * x / std).mean(0))
    return dx, (dy * x / std).sum(0), dy.sum(0)


def _one_pass(dy, x, gamma, eps):
    inv_std = 1 / np.sqrt((x**2).mean(0) - x.mean(0) ** 2 + eps)
    xhat = (x - x.mean(0)) * inv_std
    dx = gamma * inv_std * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0))
    return dx, (dy * xhat).sum(0), dy.sum(0)


def _rows(dy, x, gamma, eps):
    std = np.sqrt(x.var(1, keepdims=True) + eps)
    xhat = (x - x.mean(1, keepdims=True)) / std
    g = dy * gamma
    dx = (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True)) / std
    return dx, (dy * xhat).sum(0), dy.sum(0)


# dx is often computed from dgamma and dbeta. So these come first: of two mistakes that explain the
# same number of outputs, the first one is named.
PARAMETER_MISTAKES = (
    Mistake(
        "dgamma-dbeta-swapped",
        "dgamma and dbeta have changed places. Which of the two multiplies xhat in the forward "
        "pass, so that xhat is in its gradient?",
        _with(dgamma=lambda v: v["dbeta"], dbeta=lambda v: v["dgamma"]),
    ),
    Mistake(
        "dgamma-dbeta-averaged",
        "dgamma and dbeta are averaged over the batch. Each row of y uses the same gamma: how are "
        "the gradients of several uses combined?",
        _with(dgamma=lambda v: v["dgamma"] / len(v["x"]), dbeta=lambda v: v["dbeta"] / len(v["x"])),
    ),
    Mistake(
        "dgamma-averaged",
        "dgamma is averaged over the batch. Each row of y uses the same gamma: how are the "
        "gradients of several uses combined?",
        _with(dgamma=lambda v: v["dgamma"] / len(v["x"])),
    ),
    Mistake(
        "dgamma-with-x",
        "dgamma is computed with x in place of xhat. What does gamma multiply in the forward pass?",
        _with(dgamma=lambda v: (v["dy"] * v["x"]).sum(0)),
    ),
    Mistake(
        "dgamma-with-deviations",
        "dgamma is computed with x - mean in place of xhat. What does gamma multiply in the "
        "forward pass?",
        _with(dgamma=lambda v: (v["dy"] * v["dev"]).sum(0)),
    ),
    Mistake(
        "dgamma-with-y",
        "dgamma is computed with gamma * xhat in place of xhat (y, or dxhat in place of dy). If "
        "gamma is doubled, should dgamma double as well?",
        _with(dgamma=lambda v: v["gamma"] * v["dgamma"]),
    ),
    Mistake(
        "dgamma-sign",
        "dgamma has the wrong sign. If gamma grows, does y grow or shrink where xhat is positive?",
        _with(dgamma=lambda v: -v["dgamma"]),
    ),
    Mistake(
        "dgamma-not-summed",
        "dgamma is not summed over the batch: it has a row for each example. gamma has D entries: "
        "over which axis does its gradient collect the contributions?",
        _with(dgamma=lambda v: v["dy"] * v["xhat"]),
    ),
    Mistake(
        "dgamma-dbeta-not-summed",
        "dgamma and dbeta are not summed over the batch: they have a row for each example. gamma "
        "has D entries: over which axis does its gradient collect the contributions?",
        _with(dgamma=lambda v: v["dy"] * v["xhat"], dbeta=lambda v: v["dy"]),
    ),
    Mistake(
        "dgamma-dbeta-axis",
        "dgamma and dbeta are summed over the features (axis 1). gamma has D entries: which axis "
        "should disappear?",
        _with(dgamma=lambda v: (v["dy"] * v["xhat"]).sum(1), dbeta=lambda v: v["dy"].sum(1)),
    ),
    Mistake(
        "dgamma-dbeta-keepdims",
        "dgamma and dbeta have the shape (1, D): an axis of length 1 is left over. What does "
        "keepdims=True do, and which shape has gamma?",
        _with(dgamma=lambda v: v["dgamma"][None], dbeta=lambda v: v["dbeta"][None]),
    ),
    Mistake(
        "dbeta-averaged",
        "dbeta is averaged over the batch. Each row of y uses the same beta: how are the gradients "
        "of several uses combined?",
        _with(dbeta=lambda v: v["dbeta"] / len(v["x"])),
    ),
    Mistake(
        "dbeta-with-gamma",
        "dbeta is multiplied by gamma. beta is added after the multiplication by gamma: what is "
        "dy / dbeta?",
        _with(dbeta=lambda v: v["gamma"] * v["dbeta"]),
    ),
    Mistake(
        "parameters-first",
        "The gradients are returned in another order. Which one is first in `return dx, dgamma, "
        "dbeta`?",
        lambda dy, x, gamma, eps: (lambda dx, dgamma, dbeta: (dgamma, dbeta, dx))(
            *_staged(dy, x, gamma, eps)
        ),
    ),
)

DX_MISTAKES = (
    Mistake(
        "statistics-detached",
        "dx has only the direct path: mean and variance are treated as constants. But they are "
        "computed from x. Along which further paths does x[0, 0] reach the loss?",
        _broken(mean_path=0.0, var_path=0.0),
    ),
    Mistake(
        "mean-path-missing",
        "The path through the mean is missing in dx. If all of a column of x grows by the same "
        "amount, y does not change: what does that say about the column sums of dx?",
        _broken(mean_path=0.0),
    ),
    Mistake(
        "variance-path-missing",
        "The path through the variance is missing in dx. If the deviations of a column grow by one "
        "per cent, what happens to xhat, and what does dx say?",
        _broken(var_path=0.0),
    ),
    Mistake(
        "mean-path-sign",
        "The path through the mean has the wrong sign. What is the derivative of x - mean with "
        "respect to the mean?",
        _broken(mean_path=-1.0),
    ),
    Mistake(
        "variance-path-sign",
        "The path through the variance has the wrong sign. Does xhat grow or shrink when the "
        "variance grows?",
        _broken(var_path=-1.0),
    ),
    Mistake(
        "variance-power-of-std",
        "In the path through the variance, the standard deviation has the power -1.5. That is the "
        "power of (var + eps): (var + eps) ** -1.5 is std ** -3. What is the derivative of v ** "
        "-0.5, and what is v?",
        _broken(power=0.75),
    ),
    Mistake(
        "variance-path-half",
        "The path through the variance is half of what it should be. What is the derivative of a "
        "square?",
        _broken(square=1.0),
    ),
    Mistake(
        "variance-path-double",
        "The path through the variance is twice what it should be. What is the derivative of "
        "v ** -0.5: which factor comes in front?",
        _broken(var_path=2.0),
    ),
    Mistake(
        "variance-power",
        "In the path through the variance the power of (var + eps) is -1/2 (or x - mean stands "
        "where xhat should, twice). What is the derivative of v ** -0.5?",
        _broken(power=0.5),
    ),
    Mistake(
        "not-averaged",
        "In dx the sums over the batch are not divided by N. The mean is a sum over N: what is its "
        "derivative with respect to one x?",
        _broken(count=lambda x: 1),
    ),
    Mistake(
        "divided-by-features",
        "In dx the sums over the batch are divided by D, the number of features. How many numbers "
        "does each of them add up, and is that x.shape[0] or x.shape[1]?",
        _broken(count=lambda x: x.shape[1]),
    ),
    Mistake(
        "divided-by-size",
        "In dx the sums over the batch are divided by N * D, the size of x. How many numbers does "
        "each of them add up?",
        _broken(count=lambda x: x.size),
    ),
    Mistake(
        "divided-by-n-minus-one",
        "In dx the sums over the batch are divided by N - 1. By what does the forward pass divide "
        "for its mean and its variance?",
        _broken(count=lambda x: max(len(x) - 1, 1)),
    ),
    Mistake(
        "variance-path-not-averaged",
        "The path through the variance is not divided by N; the path through the mean is. The "
        "variance is a mean over N squares: what is its derivative with respect to one x?",
        _with(dx=lambda v: _projected(v, along=v["xhat"] * (v["dy"] * v["xhat"]).sum(0))),
    ),
    Mistake(
        "mean-path-not-averaged",
        "The path through the mean is not divided by N; the path through the variance is. What is "
        "the derivative of the mean with respect to one x?",
        _with(dx=lambda v: _projected(v, mean=v["dy"].sum(0))),
    ),
    Mistake(
        "variance-spread-along-x",
        "In the path through the variance, the derivative of (x - mean) ** 2 is written with x in "
        "place of x - mean. What is it?",
        _broken(spread=lambda x: x),
    ),
    Mistake(
        "variance-collected-along-x",
        "In the gradient of the variance, dxhat is multiplied by x in place of x - mean. xhat = "
        "(x - mean) / sqrt(var + eps): what is its derivative with respect to var?",
        _broken(collected=lambda x: x),
    ),
    Mistake(
        "variance-path-along-x",
        "The path through the variance is written with x in place of x - mean, twice. Is x "
        "centred?",
        _broken(collected=lambda x: x, spread=lambda x: x),
    ),
    Mistake(
        "projection-along-x",
        "The mean of dy * xhat is multiplied by x in place of xhat. Is x centred, and which unit "
        "has the other term, dy?",
        _with(dx=lambda v: _projected(v, along=v["x"] * (v["dy"] * v["xhat"]).mean(0))),
    ),
    Mistake(
        "direct-path-not-divided",
        "The direct path is not divided by the standard deviation; the other two are. What is the "
        "derivative of xhat with respect to x when mean and var are held fixed?",
        _with(dx=lambda v: _projected(v, direct=v["dy"] * v["std"])),
    ),
    Mistake(
        "gamma-missing-in-direct-path",
        "gamma is missing in the direct path; the other two have it. Does that path start from dy "
        "or from dxhat?",
        _with(dx=lambda v: v["dx"] + (1 - v["gamma"]) / v["std"] * v["dy"]),
    ),
    Mistake(
        "gamma-missing-in-mean-path",
        "gamma is missing in the path through the mean. Does that path start from dy or from "
        "dxhat?",
        _with(dx=lambda v: v["dx"] + (v["gamma"] - 1) / v["std"] * v["dy"].mean(0)),
    ),
    Mistake(
        "gamma-missing-in-variance-path",
        "gamma is missing in the path through the variance. Does that path start from dy or from "
        "dxhat?",
        _with(
            dx=lambda v: (
                v["dx"] + (v["gamma"] - 1) / v["std"] * v["xhat"] * (v["dy"] * v["xhat"]).mean(0)
            )
        ),
    ),
    Mistake(
        "gamma-twice-in-variance-path",
        "gamma is in the path through the variance twice. Once in dxhat = gamma * dy, and where "
        "else?",
        _with(
            dx=lambda v: _projected(v, along=v["gamma"] * v["xhat"] * (v["dy"] * v["xhat"]).mean(0))
        ),
    ),
    Mistake(
        "gamma-twice-in-mean-path",
        "gamma is in the path through the mean twice. Once in dxhat = gamma * dy, and where else?",
        _with(dx=lambda v: _projected(v, mean=v["gamma"] * v["dy"].mean(0))),
    ),
    Mistake(
        "variance-of-mean-term",
        "There is an extra term in dx, from the derivative of the variance with respect to the "
        "mean. That derivative is -2 times the mean of (x - mean): what is the sum of the "
        "deviations? (The term is often written with x in place of the deviations.)",
        _with(
            dx=lambda v: (
                v["dx"]
                + (v["dy"] * v["gamma"] * v["dev"]).sum(0)
                * (v["var"] + v["eps"]) ** -1.5
                * v["x"].mean(0)
                / len(v["x"])
            )
        ),
    ),
    Mistake(
        "projection-not-standardised",
        "The path through the variance lacks one division by the standard deviation: x - mean "
        "stands once where xhat should, or the power of (var + eps) is -1. Compare its unit with "
        "that of the direct path: how often must it be divided?",
        _with(dx=lambda v: _projected(v, along=v["dev"] * (v["dy"] * v["xhat"]).mean(0))),
    ),
    Mistake(
        "projection-without-xhat",
        "The two means over the batch are both subtracted as constants; the second is not "
        "multiplied by xhat. Which direction does the path through the variance have?",
        _with(dx=lambda v: _projected(v, along=(v["dy"] * v["xhat"]).mean(0))),
    ),
    Mistake(
        "projection-with-x",
        "The term along xhat is computed with x in place of xhat. Is x centred?",
        _with(dx=lambda v: _projected(v, along=v["x"] * (v["dy"] * v["x"]).mean(0))),
    ),
    Mistake(
        "gamma-missing-dx",
        "gamma is missing in dx. What is the gradient with respect to xhat, given that with "
        "respect to y?",
        _with(dx=lambda v: _projected({**v, "gamma": 1.0})),
    ),
    Mistake(
        "gamma-twice",
        "gamma is in dx twice. Once in dxhat = gamma * dy, and where else?",
        _with(dx=lambda v: v["gamma"] * v["dx"]),
    ),
    Mistake(
        "gamma-direct-only",
        "In dx, gamma multiplies the direct path only. Do the paths through the mean and the "
        "variance start from dy or from dxhat?",
        _with(dx=lambda v: _projected({**v, "gamma": 1.0}, direct=v["gamma"] * v["dy"])),
    ),
    Mistake(
        "gamma-divides",
        "dx is divided by gamma. y = gamma * xhat + beta: what is dy / dxhat?",
        _with(dx=lambda v: _projected({**v, "gamma": 1 / v["gamma"]})),
    ),
    Mistake(
        "dx-not-divided",
        "dx is not divided by the standard deviation. If x is measured in millimetres in place of "
        "metres, what happens to xhat, and what should happen to dx?",
        _with(dx=lambda v: v["dx"] * v["std"]),
    ),
    Mistake(
        "dx-multiplied",
        "dx is multiplied by the standard deviation. In the forward pass, is x - mean multiplied "
        "by it or divided?",
        _with(dx=lambda v: v["dx"] * v["std"] ** 2),
    ),
    Mistake(
        "dx-over-variance",
        "dx is divided by the variance. In the forward pass, by what is x - mean divided?",
        _with(dx=lambda v: v["dx"] / v["std"]),
    ),
    Mistake(
        "dx-zero",
        "dx is zero everywhere. That is right for a constant dy, the reason why a gradient check "
        "with dy = 1 tests nothing: what if dy differs from row to row?",
        _with(dx=lambda v: 0 * v["dx"]),
    ),
    Mistake(
        "dx-sign",
        "dx has the wrong sign. If x[0, 0] grows a little, does xhat[0, 0] grow or shrink?",
        _with(dx=lambda v: -v["dx"]),
    ),
    Mistake(
        "dx-averaged",
        "dx is divided by N. The loss has been averaged already, if at all, before it reached dy. "
        "Which factors 1/N does the derivation give?",
        _with(dx=lambda v: v["dx"] / len(v["x"])),
    ),
    Mistake(
        "features-axis",
        "The statistics are taken over the features of each example (axis 1). Over which axis does "
        "the forward pass take them?",
        _rows,
    ),
    Mistake(
        "xhat-not-centred",
        "xhat is computed without subtracting the mean: x / std. Is it the same as in the forward "
        "pass?",
        _other_xhat,
    ),
    Mistake(
        "unbiased-variance-throughout",
        "Your gradients belong to a forward pass whose variance is divided by N - 1. Which "
        "variance does the forward pass of the exercise use?",
        _other_forward(
            lambda dev, eps: np.sqrt((dev**2).sum(0) / max(len(dev) - 1, 1) + eps),
            lambda dev, std, eps: dev / (max(len(dev) - 1, 1) * std),
        ),
    ),
    Mistake(
        "eps-outside-root-throughout",
        "Your gradients belong to a forward pass in which eps is added after the square root. "
        "What does the forward pass of the exercise divide by?",
        _other_forward(
            lambda dev, eps: np.sqrt((dev**2).mean(0)) + eps,
            lambda dev, std, eps: dev / (len(dev) * (std - eps)),
        ),
    ),
    Mistake(
        "unbiased-variance",
        "The standard deviation is computed with N - 1. The backward pass belongs to the forward "
        "pass: which variance does that one use?",
        _other_variance(lambda dev, var, eps: np.sqrt((dev**2).sum(0) / (len(dev) - 1) + eps)),
    ),
    Mistake(
        "eps-missing",
        "eps is not used. The backward pass belongs to the forward pass: what does that one divide "
        "by?",
        _other_variance(lambda dev, var, eps: np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. What does the forward pass divide by?",
        _other_variance(lambda dev, var, eps: np.sqrt(var) + eps),
    ),
    Mistake(
        "eps-hard-coded",
        "Your code uses eps = 1e-5 whatever eps it is given. Where does the parameter eps go?",
        _other_variance(lambda dev, var, eps: np.sqrt(var + 1e-5)),
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


# ---------------------------------------------------------------- the exercise

bn_backward = Exercise(
    bn_backward,
    reference=_staged,
    returns=["dx", "dgamma", "dbeta"],
    mistakes=(*PARAMETER_MISTAKES, *DX_MISTAKES),
    probes=lambda: dense_probes(
        lambda rng, x, eps: {
            "dy": gradients(rng, x),
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "eps": eps,
        }
    ),
    properties=properties.BACKWARD,
    hints=(
        "Start with dbeta and dgamma: they need one line each. For dx, x reaches y on three paths: "
        "directly, through the mean and through the variance. Compute xhat and the standard "
        "deviation again, as in the forward pass.",
        "1. dbeta: each row of y contains beta once.  2. dgamma: each row contains gamma times "
        "xhat.  3. dxhat = gamma * dy.  4. The gradient of the variance collects dxhat * (x - "
        "mean) with the derivative of (var + eps) ** -0.5.  5. The gradient of the mean collects "
        "-dxhat / std.  6. dx adds the three paths; the last two are shared by N examples.",
        "The last line of that plan is dx = dxhat / std + dvar * 2 * (x - mean) / len(x) + dmean "
        "/ len(x): the direct path, that through the variance and that through the mean.",
    ),
)
