"""Inputs for the numerical tests, and a slow reference that is plainly right.

The reference loops over groups of numbers and follows the formulas of the papers step by step. It
shares no code with bnlib, and its backward pass is the chain rule in stages, not the closed form.
"""

from dataclasses import dataclass

import hypothesis
import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st

import bnlib
from bnlib import functional
from bnlib.gradients import gradcheck


def given(**strategies):
    """hypothesis.given, with a second version ``quick`` for test_mutants.py.

    That one stops at the first failure: looking for the smallest example takes seconds a mutant.
    """
    busy = [hypothesis.HealthCheck.too_slow]  # says something of the machine

    def decorate(test):
        full = settings(max_examples=60, suppress_health_check=busy)(
            hypothesis.given(**strategies)(test)
        )
        full.quick = settings(
            max_examples=30,
            phases=[Phase.explicit, Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=busy,
        )(hypothesis.given(**strategies)(test))
        return full

    return decorate


# -- Normalizations, as functions -----------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a normalization is called, and which numbers of x share statistics, which a gamma."""

    name: str  # in bnlib.functional
    groups: int | None = None  # of group_norm
    axes: int = 1  # how many last axes gamma has, where it has those

    @property
    def has_mean(self):
        return self.name != "rms_norm"

    @property
    def over_last_axes(self):
        return self.name in ("layer_norm", "rms_norm")

    @property
    def of_batch(self):
        return self.name.startswith("batch_norm")

    @property
    def row(self):
        """What error messages number."""
        return "channel" if self.of_batch else "group"

    def forward(self, x, gamma, beta, **eps):
        """y, and what `backward` needs."""
        function = getattr(functional, self.name)
        if self.name == "batch_norm_inference":
            mean, var = self.given_statistics(len(gamma))
            return function(x, gamma, beta, mean, var, **eps), (x, gamma, mean, var, *eps.values())
        number = [] if self.groups is None else [self.groups]
        return function(x, *number, *([gamma, beta] if self.has_mean else [gamma]), **eps)

    def backward(self, dy, cache):
        cache = cache if self.name == "batch_norm_inference" else [cache]
        return getattr(functional, f"{self.name}_backward")(dy, *cache)

    def given_statistics(self, c):
        return np.linspace(-2, 3, c), np.linspace(0.3, 4, c)

    def gamma_shape(self, shape):
        return shape[-self.axes :] if self.over_last_axes else shape[1:2]

    def labels(self, shape):
        """Two arrays shaped like x: the number of each value's group, and of its gamma."""
        index = np.indices(shape)
        if self.of_batch:
            return index[1], index[1]
        if self.over_last_axes:
            lead, last = shape[: -self.axes], shape[-self.axes :]
            group = np.arange(np.prod(lead, dtype=int)).reshape(lead + (1,) * self.axes)
            return group + 0 * index[0], np.arange(np.prod(last)).reshape(last) + 0 * index[0]
        groups = self.groups or shape[1]
        return index[0] * groups + index[1] // (shape[1] // groups), index[1]

    def reference(self, x, gamma, beta, eps, dy):
        """y, xhat, dx, dgamma, dbeta group by group, the chain rule in stages."""
        group, param = self.labels(x.shape)
        x, dy = x.astype(np.longdouble), dy.astype(np.longdouble)
        scale, shift = gamma.ravel()[param], beta.ravel()[param] if self.has_mean else 0
        xhat, dx = np.empty_like(x), np.empty_like(x)
        for k in range(group.max() + 1):
            mine = group == k
            values, upstream = x[mine], (dy * scale)[mine]
            if self.name == "batch_norm_inference":
                mu, var = (v[k] for v in self.given_statistics(len(gamma)))
                xhat[mine] = (values - mu) / np.sqrt(var + eps)
                dx[mine] = upstream / np.sqrt(var + eps)
                continue
            mu = values.mean() if self.has_mean else 0
            root = np.sqrt(((values - mu) ** 2).mean() + np.longdouble(eps))
            xhat[mine] = (values - mu) / root
            dvar = (upstream * (values - mu)).sum() * (-0.5) / root**3
            dmu = -upstream.sum() / root if self.has_mean else 0  # the path through var adds 0
            dx[mine] = upstream / root + dvar * 2 * (values - mu) / values.size + dmu / values.size
        sums = [np.zeros(gamma.size, np.longdouble) for _ in range(2)]
        for total, terms in zip(sums, (dy * xhat, dy)):
            np.add.at(total, param.ravel(), terms.ravel())
        dgamma, dbeta = (total.reshape(gamma.shape) for total in sums)
        return scale * xhat + shift, xhat, dx, dgamma, dbeta


KINDS = {
    "batch_norm": Kind("batch_norm"),
    "given statistics": Kind("batch_norm_inference"),
    "layer_norm": Kind("layer_norm"),
    "layer_norm over two axes": Kind("layer_norm", axes=2),
    "rms_norm": Kind("rms_norm"),
    "rms_norm over two axes": Kind("rms_norm", axes=2),
    "group_norm": Kind("group_norm", groups=2),
    "group_norm, one group": Kind("group_norm", groups=1),
    "instance_norm": Kind("instance_norm"),
}
NEEDS_POSITIONS = ("layer_norm over two axes", "rms_norm over two axes", "instance_norm")
# Distinct N, C, H, W, so that swapped axes show; then shapes on which swapped axes do not raise.
SHAPES = [(2, 4, 5, 3), (4, 4, 4), (2, 6, 3)]
LAYOUTS = ("C", "channels last", "batch last", "strided", "Fortran")


@dataclass
class Case:
    """One call of a normalization with everything random."""

    kind: Kind
    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    dy: np.ndarray
    eps: float

    def forward(self, **changes):
        arguments = {"x": self.x, "gamma": self.gamma, "beta": self.beta, "eps": self.eps}
        return self.kind.forward(**arguments | changes)

    def reference(self):
        return self.kind.reference(self.x, self.gamma, self.beta, self.eps, self.dy)

    def __repr__(self):
        strides = tuple(s // self.x.itemsize for s in self.x.strides)
        return f"Case({self.kind}, {self.x.shape}, strides {strides}, {self.x.dtype}, {self.eps})"


def make_case(
    kind="batch_norm", shape=SHAPES[0], seed=0, dtype=np.float64, eps=1e-5, layout="C", loc=0.0
):
    """A `Case` with values from ``seed``; the same numbers whatever the layout in memory."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 2, (shape[0], shape[1], *[1] * (len(shape) - 2)))  # groups differ
    x = loc + spread * (rng.standard_normal(shape) + 2 * spread)
    gamma = rng.uniform(0.3, 2, KINDS[kind].gamma_shape(shape))
    gamma *= rng.choice([-1, 1], gamma.shape)
    beta, dy = rng.normal(0, 3, gamma.shape), rng.standard_normal(shape) + rng.normal(0, 2)
    x, gamma, beta, dy = (a.astype(dtype) for a in (x, gamma, beta, dy))
    return Case(KINDS[kind], lay_out(x, layout), gamma, beta, lay_out(dy, layout), eps)


def lay_out(x, layout):
    """The same array with another order in memory."""
    if layout in ("channels last", "batch last"):
        axis = 1 if layout == "channels last" else 0
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, axis, -1)), -1, axis)
    if layout == "strided":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return np.asfortranarray(x) if layout == "Fortran" else np.ascontiguousarray(x)


@st.composite
def cases(draw, kinds=tuple(KINDS), dtype=np.float64, sizes=(1, 2, 3, 17)):
    """Random `Case`s: 0 to 3 spatial axes, small and large batches, every layout in memory."""
    kind, n = draw(st.sampled_from(kinds)), draw(st.sampled_from(sizes))
    c = draw(st.sampled_from([1, 2, 3, 5] if KINDS[kind].of_batch else [4, 6, 8]))
    least = kind in NEEDS_POSITIONS or (kind == "batch_norm" and n == 1)
    spatial = draw(st.lists(st.integers(2, 4), min_size=least, max_size=3))
    drawn = {"seed": draw(st.integers(0, 10_000)), "eps": draw(st.sampled_from([1e-5, 0.1]))}
    drawn |= {"layout": draw(st.sampled_from(LAYOUTS)), "loc": draw(st.sampled_from([0.0, -9]))}
    return make_case(kind, (n, c, *spatial), dtype=dtype, **drawn)


def per_channel(v, x):
    """``v`` (C,) shaped to broadcast over x (N, C, *spatial)."""
    return np.asarray(v).reshape((1, -1) + (1,) * (x.ndim - 2))


# -- Layers ---------------------------------------------------------------------------------------

# name: how to make one with a dtype, and the shapes of x and of y
LAYERS = {
    "Dense": (lambda dtype: bnlib.Dense(3, 4, dtype=dtype), (5, 3), (5, 4)),
    "BatchNorm": (lambda dtype: bnlib.BatchNorm(3, dtype=dtype), (5, 3), (5, 3)),
    "BatchNorm, images": (
        lambda dtype: bnlib.BatchNorm(3, eps=0.01, dtype=dtype), *[(4, 3, 2, 5)] * 2
    ),
    "LayerNorm": (lambda dtype: bnlib.LayerNorm(3, dtype=dtype), (5, 3), (5, 3)),
    "LayerNorm, two axes": (lambda dtype: bnlib.LayerNorm((3, 2), dtype=dtype), *[(4, 3, 2)] * 2),
    "RMSNorm": (lambda dtype: bnlib.RMSNorm(3, dtype=dtype), (5, 3), (5, 3)),
    "GroupNorm": (lambda dtype: bnlib.GroupNorm(2, 4, dtype=dtype), *[(3, 4, 2, 2)] * 2),
    "InstanceNorm": (lambda dtype: bnlib.InstanceNorm(3, 0.01, True, dtype), *[(2, 3, 4)] * 2),
    "GhostNorm": (lambda dtype: bnlib.GhostNorm(3, 2, dtype=dtype), (5, 3), (5, 3)),
    "BatchRenorm": (lambda dtype: bnlib.BatchRenorm(3, warmup=1, dtype=dtype), (5, 3), (5, 3)),
    "Dropout": (lambda dtype: bnlib.Dropout(0.4), (5, 3), (5, 3)),
    "Residual": (lambda dtype: bnlib.Residual([bnlib.Tanh()]), (5, 3), (5, 3)),
    "ReLU": (lambda dtype: bnlib.ReLU(), (5, 3), (5, 3)),
    "Sigmoid": (lambda dtype: bnlib.Sigmoid(), (5, 3), (5, 3)),
    "Tanh": (lambda dtype: bnlib.Tanh(), (4, 3, 2), (4, 3, 2)),
    "Conv2d": (
        lambda dtype: bnlib.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, dtype=dtype),
        (4, 2, 5, 6),
        (4, 3, 5, 4),
    ),
    "MaxPool2d": (lambda dtype: bnlib.MaxPool2d(2), (4, 2, 5, 6), (4, 2, 2, 3)),
    "Flatten": (lambda dtype: bnlib.Flatten(), (4, 2, 3, 2), (4, 12)),
}  # fmt: skip


def convolution_of(x, weight, bias, stride, padding):
    """y of Conv2d by its definition, in extended precision; stride and padding are pairs."""
    x = np.pad(x.astype(np.longdouble), ((0, 0), (0, 0), *((p, p) for p in padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    return np.einsum("ncpqij,ocij->nopq", windows, weight.astype(x.dtype)) + bias[:, None, None]


def check_gradients(layer, x, tol=1e-6):
    """gradcheck of a layer with respect to its input and all parameters."""

    def forward(x, **params):
        for name, value in params.items():
            layer.params[name][...] = value
        return layer.forward(x)

    def backward(dy):
        return {"x": layer.backward(dy), **layer.grads}

    inputs = {"x": x} | {k: v.copy() for k, v in layer.params.items()}
    report = gradcheck(forward, backward, inputs, tol=tol)
    assert report.passed and len(report.checks) == len(inputs), report


def snapshot(thing):
    """The bytes of all arrays of a layer's or network's state."""
    return {name: v.tobytes() for name, v in thing.state_dict().items()}


def close(actual, expected, rel, scale=None):
    """Assert that the largest difference is at most ``rel`` of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if scale is None:
        scale = np.abs(expected).max() if expected.size else 0.0
    worst = np.abs(actual.astype(np.longdouble) - expected).max() if expected.size else 0.0
    assert worst <= rel * scale, f"off by {worst:.3g}, allowed {rel * scale:.3g}"
