"""Mistakes that no catalogue has: never accepted, and the numbers point at the fault."""

import numpy as np
import pytest

from bnlib import exercises


def forward(xhat=lambda x, eps: (x - x.mean(0)) / np.sqrt(x.var(0) + eps), y=None):
    return lambda x, gamma, beta, eps: (y or (lambda h, g, b: g * h + b))(xhat(x, eps), gamma, beta)


def backward(**wrong):
    """bn_backward with dx, dgamma or dbeta replaced by a function of all intermediate results."""

    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(0) + eps)
        xhat = (x - x.mean(0)) / std
        v = {"dy": dy, "x": x, "gamma": gamma, "std": std, "xhat": xhat, "n": len(x)}
        right = {
            "dx": lambda v: (
                v["gamma"]
                / v["std"]
                * (v["dy"] - v["dy"].mean(0) - v["xhat"] * (v["dy"] * v["xhat"]).mean(0))
            ),
            "dgamma": lambda v: (v["dy"] * v["xhat"]).sum(0),
            "dbeta": lambda v: v["dy"].sum(0),
        }
        return tuple((right | wrong)[name](v) for name in right)

    return function


CASES = [
    # exercise, wrong function, what the message must contain
    ("standardize", lambda x, eps: (x - x[0]) / np.sqrt(x.var(0) + eps), ["column means", "0"]),
    (
        "standardize",
        lambda x, eps: np.tanh((x - x.mean(0)) / np.sqrt(x.var(0) + eps)),
        ["column", "expected"],
    ),
    (
        "standardize",
        lambda x, eps: np.clip((x - x.mean(0)) / np.sqrt(x.var(0) + eps), -4, 4),
        ["one outlier", "right on"],
    ),
    (
        "standardize",
        lambda x, eps: (x - x.mean(0)) / np.sqrt(x.var(0) + max(eps, 1e-3)),
        ["eps = 1e-05", "right on", "variance of column"],
    ),
    (
        "standardize",
        lambda x, eps: np.nan_to_num((x - x.mean(0)) / x.std(0)),
        ["does not change when eps changes from 0.1"],
    ),
    (
        "standardize",
        lambda x, eps: (x - x.mean(0)) / (np.sqrt(x.var(0) + eps) + 1e-8),
        ["nearly right"],
    ),
    (
        "standardize",
        lambda x, eps: (x - x.mean(0)) / np.sqrt(np.abs(x - x.mean(0)).max(0) + eps),
        ["variance of column"],
    ),
    (
        "standardize",
        lambda x, eps: (x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).sum(0) / 6 + eps),
        ["right on", "wrong"],  # N = 6 of the designed batch written into the code
    ),
    ("bn_forward", forward(y=lambda h, g, b: g**2 * h + b), ["variance of column", "gamma^2"]),
    ("bn_forward", forward(y=lambda h, g, b: g * h + b.mean()), ["column means", "not beta"]),
    ("bn_forward", forward(y=lambda h, g, b: g.mean() * h + b), ["variance of column"]),
    ("bn_forward", forward(y=lambda h, g, b: g * h + g * b + b), ["column means"]),
    ("bn_forward", forward(y=lambda h, g, b: np.maximum(g * h + b, 0)), ["column means"]),
    ("bn_forward", forward(y=lambda h, g, b: g[::-1] * h + b), ["variance of column"]),
    ("bn_forward", forward(y=lambda h, g, b: g * h[::-1] + b), ["rises by"]),
    (
        "bn_backward",
        backward(dx=lambda v: v["gamma"] / v["std"] * (v["dy"] - v["dy"].mean())),
        ["column", "dgamma and dbeta are right"],
    ),
    (
        "bn_backward",
        backward(
            dx=lambda v: (
                v["gamma"]
                / v["std"]
                * (v["dy"] - v["dy"].mean(0) - v["xhat"] ** 2 * (v["dy"] * v["xhat"]).mean(0))
            )
        ),
        ["column sums of dx are not zero", "expected 0"],
    ),
    (
        "bn_backward",
        backward(
            dx=lambda v: (
                v["gamma"]
                / v["std"]
                * (
                    v["dy"]
                    - v["dy"].mean(0)
                    - v["xhat"] * (v["dy"] * v["xhat"]).sum(0) / (v["n"] - 1)
                )
            )
        ),
        ["sum of dx * xhat", "variance"],
    ),
    (
        "bn_backward",
        backward(dgamma=lambda v: (v["dy"] * v["xhat"]).sum(0) + 1),
        ["dgamma[", "dx and dbeta are right"],
    ),
    (
        "bn_backward",
        backward(dbeta=lambda v: (v["dy"] * v["xhat"]).sum(0)),
        ["dbeta changes when x changes", "dx and dgamma are right"],
    ),
    (
        "update_running",
        lambda m, v, x, p: ((1 - p) * m + p * x.mean(0), (1 - p) ** 2 * v + p * x.var(0, ddof=1)),
        ["running_var grows by 1", "0.49", "0.7"],
    ),
    (
        "update_running",
        lambda m, v, x, p: ((1 - p) * m + p**2 * x.mean(0), (1 - p) * v + p * x.var(0, ddof=1)),
        ["When all of x grows by 1", "0.09", "0.3"],
    ),
    (
        "update_running",
        lambda m, v, x, p: ((1 - p) * m + p * x.mean(0), (1 - p) * v + p * x.var(0, ddof=2)),
        ["momentum = 1", "unbiased variance"],
    ),
    (
        "bn_inference",
        lambda x, g, b, m, v, eps: g * (x - m) / np.sqrt(v + eps) + b + eps,
        ["For x = running_mean"],
    ),
    (
        "bn_inference",
        lambda x, g, b, m, v, eps: g * (x - m) / np.sqrt(v + x.var(0) + eps) + b,
        ["last row", "row 0"],
    ),
    (
        "fold_bn",
        lambda W, b, g, be, m, v, e: (
            W * g / np.sqrt(v + e) + be,
            (b - m) * g / np.sqrt(v + e) + be,
        ),
        ["W2 changes when beta changes", "b2 is right"],
    ),
    (
        "fold_bn",
        lambda W, b, g, be, m, v, e: (W * g / np.sqrt(v + e), (b - m @ W.T @ W) * g + be),
        ["b2", "W2 is right"],
    ),
    (
        "bn_conv_forward",
        lambda x, g, b, e: (
            g[:, None, None]
            * (x - x.mean((2, 3), keepdims=True))
            / np.sqrt(x.var((0, 2, 3), keepdims=True) + e)
            + b[:, None, None]
        ),
        ["change places"],
    ),
    (
        "bn_conv_backward",
        lambda dy, x, g, e: exercises.bn_conv_backward.answer(dy, x, g, 2 * e),
        ["expected"],
    ),
    ("init_std", lambda fan_in: (3 / fan_in) ** 0.5, ["1.5", "expected 1"]),
    ("saturated_fraction", lambda z: np.mean(abs(z) > 4), ["every z is 4.25"]),
]


@pytest.mark.parametrize(("name", "function", "parts"), CASES)
def test_the_numbers_point_at_the_fault(name, function, parts):
    result = exercises.available[name].check(function)
    assert result.outcome == "not yet", result
    assert result.diagnosis is None, result
    for part in parts:
        assert part in result.message, result
