"""Notebook 12: norms whose groups lie inside one example (Ba et al. 2016, Wu & He 2018, Zhang &
Sennrich 2019)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import n03_forward
from .engine import Case, Exercise, Probe, properties
from .engine.probes import arguments, batch, conv_probes, dense_probes

# ---------------------------------------------------------------- solutions


def layer_norm(x, gamma, beta, eps):
    """Layer normalization: each example by its own mean and variance, over its features.

    x: array (N, D), the batch is the first axis.  gamma, beta: arrays (D,), one number a feature.
    eps: a small number > 0.
    Returns y, array (N, D).
    """
    mean = x.mean(axis=1, keepdims=True)  # shape (N, 1)
    var = ((x - mean) ** 2).mean(axis=1, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta


def group_norm(x, num_groups, gamma, beta, eps):
    """Group normalization: each image by itself, in groups of neighbouring channels.

    x: array (N, C, H, W).  num_groups: how many groups the C channels form; it divides C. The first
    C / num_groups channels are the first group.  gamma, beta: arrays (C,), one number a channel.
    eps: a small number > 0.
    Returns y, array (N, C, H, W).
    """
    groups = x.reshape(len(x), num_groups, -1)  # a group's channels lie side by side
    mean = groups.mean(axis=2, keepdims=True)
    var = ((groups - mean) ** 2).mean(axis=2, keepdims=True)
    xhat = ((groups - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma.reshape(1, -1, 1, 1) * xhat + beta.reshape(1, -1, 1, 1)


def rms_norm_backward(dy, x, gamma, eps):
    """The gradients of RMS norm, y = gamma * x / r with r = sqrt(mean of x**2 + eps).

    The mean runs over the features of one example.
    dy: array (N, D), the gradient of the loss with respect to y.  x: array (N, D).
    gamma: array (D,).  eps: a small number > 0.
    Returns dx, array (N, D), and dgamma, array (D,): the gradients of the loss.
    """
    r = np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)  # shape (N, 1)
    xhat = x / r
    dxhat = dy * gamma
    along = (dxhat * xhat).mean(axis=1, keepdims=True)
    dx = (dxhat - xhat * along) / r
    dgamma = (dy * xhat).sum(axis=0)
    return dx, dgamma


# ---------------------------------------------------------------- references


def _layer_norm(x, gamma, beta, eps):
    """Feature and example change places."""
    return gamma * n03_forward.standardize.answer(x.T, eps).T + beta


def _group_norm(x, num_groups, gamma, beta, eps):
    xhat, each = np.empty_like(x), x.shape[1] // num_groups
    for image, group in np.ndindex(len(x), num_groups):
        own = image, slice(group * each, (group + 1) * each)
        xhat[own] = (x[own] - x[own].mean()) / np.sqrt(x[own].var() + eps)
    return gamma[:, None, None] * xhat + beta[:, None, None]


def _rms_backward(dy, x, gamma, eps):
    """By the quotient rule, from x itself."""
    inv = (np.einsum("nd,nd->n", x, x) / x.shape[1] + eps) ** -0.5
    dxhat = np.einsum("nd,d->nd", dy, gamma)
    pull = np.einsum("nd,nd->n", dxhat, x) / x.shape[1] * inv**3
    dx = np.einsum("nd,n->nd", dxhat, inv) - np.einsum("nd,n->nd", x, pull)
    return dx, np.einsum("nd,nd,n->d", dy, x, inv)


# ---------------------------------------------------------------- properties


def examples_are_independent(case: Case) -> str | None:
    """Changing one example leaves the output of all others as it is."""
    if len(case.given.x) < 2:
        return None
    x = case.given.x.copy()
    x[0] += 1.0 + abs(x[0])
    return case.stays(
        "y",
        "Changing example 0 changes what you return for another example, from {want} to {got} in "
        "one entry. Every example should be normalised by its own numbers: which axis is the "
        "batch?",
        slice(1, None),
        x=x,
    )


def _groups(case: Case, a: np.ndarray) -> np.ndarray:
    """(N, groups, values in a group)."""
    return a.reshape(len(a), getattr(case.given, "num_groups", 1), -1)


def _plain(case: Case) -> np.ndarray:
    """The output with gamma = 1 and beta = 0, in groups."""
    one, zero = np.ones_like(case.given.gamma), np.zeros_like(case.given.beta)
    return _groups(case, case.call(gamma=one, beta=zero).y)


def groups_are_centred(case: Case) -> str | None:
    """With gamma = 1 and beta = 0 each group (for layer norm: each example) has the mean 0."""
    mean = _by_group(case, _plain(case).mean(axis=2))
    return case.differ(
        mean,
        np.zeros_like(mean),
        "With gamma = 1 and beta = 0 the numbers that share a mean should have the mean 0 "
        f"afterwards; {_where(case)} it is {{got}}. Over which numbers is your mean taken?",
    )


def groups_are_scaled(case: Case) -> str | None:
    """With gamma = 1 and beta = 0 each group has the variance v / (v + eps)."""
    var = _groups(case, case.given.x).var(axis=2)
    return case.differ(
        _by_group(case, _plain(case).var(axis=2)),
        _by_group(case, var / (var + case.given.eps)),
        "With gamma = 1 and beta = 0 the numbers that share a variance should have the variance "
        f"{{want}} afterwards, and {_where(case)} it is {{got}}. By what is divided, and where "
        "does eps stand?",
    )


def _by_group(case: Case, a: np.ndarray) -> np.ndarray:
    """(N, groups), or (N,) for layer norm, which has no groups."""
    return a if hasattr(case.given, "num_groups") else a[:, 0]


def _where(case: Case) -> str:
    return "at [image, group] {at}" if hasattr(case.given, "num_groups") else "in example {i}"


def gamma_scales_features(case: Case) -> str | None:
    """gamma and beta belong to a feature (a channel), and are the same for all examples."""
    ndim = case.given.x.ndim
    gamma, beta = (a.reshape(-1, *(1,) * (ndim - 2)) for a in (case.given.gamma, case.given.beta))
    plain = _plain(case).reshape(case.given.x.shape)
    return case.differ(
        case.got.y,
        gamma * plain + beta,
        "Your y with gamma = 1 and beta = 0, times gamma plus beta, is {want} at {at}, but your y "
        "is {got} there. Does each {feature} have a gamma and a beta of its own, and are both "
        "applied last?",
        feature="feature" if ndim == 2 else "channel",
    )


def nothing_along_x(case: Case) -> str | None:
    """Stretching an example hardly changes its y: <dx, x> is 0 but for eps."""
    x, dx = case.given.x, case.got.dx
    inv = ((x**2).mean(axis=1) + case.given.eps) ** -0.5
    pull = (case.given.dy * case.given.gamma * x).sum(axis=1)
    return case.differ(
        (dx * x).sum(axis=1),
        pull * inv * (1 - (x**2).mean(axis=1) * inv**2),
        "The sum of dx * x over example {i} is {got}, expected {want}, which is 0 but for eps: "
        "stretching an example hardly changes its y. Which direction has to be taken out of what "
        "arrives at xhat, and how much of it?",
    )


# ---------------------------------------------------------------- the exercises


_forward = arguments("x gamma beta eps")


def _dense() -> list[Probe]:
    """Examples of unequal means and scales: dense batches turned round, features in place of rows.

    The engine's batches have features of unequal means; here the examples shall have them too.
    """
    rng = np.random.default_rng(12)
    zeros, wide = (_uneven(batch(rng, shape)) for shape in ((5, 4), (3, 700)))
    zeros[zeros < 0] = zeros[1] = 0.0
    probes = [
        *dense_probes(lambda rng, x, eps: _forward(rng, _uneven(x), eps), one="right"),
        Probe("an example of zeros, and zeros in others", _forward(rng, zeros, 1e-3)),
        Probe("examples of 700 features", _forward(rng, wide, 1e-3)),
    ]
    return [_refusable(p) for p in probes]


def _refusable(probe: Probe) -> Probe:
    """Normalised by itself, a value loses its size: bnlib's own functions refuse that."""
    own = probe.args["x"][0].size // probe.args.get("num_groups", 1)
    return replace(probe, may_raise=own == 1)


def _uneven(x: np.ndarray) -> np.ndarray:
    """x with each example stretched and moved by its own numbers."""
    n = np.arange(len(x)).reshape(-1, *(1,) * (x.ndim - 1))
    return x * (0.5 + (n * 0.37) % 1.5) + np.std(x) * (n * 0.61 % 1.0 - 0.4)


def _grouped() -> list[Probe]:
    """Feature maps with every number of groups in turn."""

    def complete(rng, x, eps):
        c = x.shape[1]
        divisors = [g for g in range(1, c + 1) if c % g == 0]
        which = len(divisors) // 2 if c == 4 else int(rng.integers(len(divisors)))
        return in_groups(divisors[which], _forward(rng, _uneven(x), eps))

    def in_groups(count, given):
        return {"x": given["x"], "num_groups": count, **given}

    rng = np.random.default_rng(12)
    zeros, wide = (_uneven(batch(rng, shape)) for shape in ((3, 4, 2, 3), (2, 4, 16, 17)))
    zeros[zeros < 0] = zeros[1] = zeros[0, 2] = 0.0
    probes = [
        *conv_probes(complete),
        Probe("an image of zeros, and a channel", in_groups(2, _forward(rng, zeros, 1e-3))),
        Probe("groups of 544 numbers", in_groups(2, _forward(rng, wide, 1e-3))),
    ]
    return [_refusable(p) for p in probes]


def _backward_probes() -> list[Probe]:
    complete = arguments("dy x gamma eps")
    found = dense_probes(lambda rng, x, eps: complete(rng, x, eps) | {"x": _uneven(x)}, one="right")
    return [p for p in found if p.tag != "large mean"]


OF_Y = (examples_are_independent, groups_are_centred, groups_are_scaled, gamma_scales_features)

layer_norm = Exercise(
    layer_norm,
    reference=_layer_norm,
    returns=["y"],
    probes=_dense,
    properties=OF_Y,
)

group_norm = Exercise(
    group_norm,
    reference=_group_norm,
    returns=["y"],
    feature="channel",
    probes=_grouped,
    properties=OF_Y,
)

rms_norm_backward = Exercise(
    rms_norm_backward,
    reference=_rms_backward,
    returns=["dx", "dgamma"],
    probes=_backward_probes,
    properties=(properties.dx_is_linear_in_dy, nothing_along_x),
)
