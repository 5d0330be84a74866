"""layer_norm, group_norm, instance_norm, rms_norm: what a wrong one breaks, parametrised over them.

Every test takes bnlib.functional as ``lib``, so that test_mutants.py can hand it a broken copy.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cases import LAYOUTS, close, given, lay_out
from hypothesis import example
from hypothesis import strategies as st

import bnlib.functional
from bnlib.gradients import gradcheck
from bnlib.views import NonFiniteError


@pytest.fixture(scope="session")
def lib():
    return bnlib.functional


@dataclass(frozen=True)
class Relative:
    """How a relative is called, and which numbers of x share statistics and which share a gamma."""

    name: str
    groups: int | None = None  # of group_norm
    axes: int = 1  # how many last axes gamma has, where it has those
    positions: bool = False  # does it need some?

    @property
    def has_mean(self):
        return self.name != "rms_norm"

    @property
    def over_last_axes(self):
        return self.name in ("layer_norm", "rms_norm")

    def forward(self, lib, x, gamma, beta, **eps):
        number = [] if self.groups is None else [self.groups]
        vectors = [gamma, beta] if self.has_mean else [gamma]
        return getattr(lib, self.name)(x, *number, *vectors, **eps)

    def backward(self, lib, dy, cache):
        return getattr(lib, f"{self.name}_backward")(dy, cache)

    def gamma_shape(self, shape):
        return shape[-self.axes :] if self.over_last_axes else shape[1:2]

    def labels(self, shape):
        """Two arrays shaped like x: the number of each value's group, and of its gamma."""
        index = np.indices(shape)
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


LAYER, RMS, INSTANCE = Relative("layer_norm"), Relative("rms_norm"), Relative("instance_norm")
GROUP = Relative("group_norm", groups=2)
RELATIVES = {
    "layer_norm": LAYER,
    "layer_norm over two axes": Relative("layer_norm", axes=2, positions=True),
    "rms_norm": RMS,
    "rms_norm over two axes": Relative("rms_norm", axes=2, positions=True),
    "group_norm": GROUP,
    "group_norm, one group": Relative("group_norm", groups=1),
    "instance_norm": Relative("instance_norm", positions=True),
}
ALL = pytest.mark.parametrize("kind", list(RELATIVES))


@dataclass
class Case:
    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    dy: np.ndarray
    eps: float

    def __repr__(self):
        strides = tuple(s // self.x.itemsize for s in self.x.strides)
        return f"Case({self.x.shape}, strides {strides}, {self.x.dtype}, eps={self.eps})"


def make(kind, shape=None, seed=0, dtype=np.float64, eps=1e-5, layout="C", loc=0.0):
    """A case; the default shape has all sizes different, and even channels."""
    relative = RELATIVES[kind]
    shape = (2, 4, 5, 3) if shape is None else shape
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 2, (shape[0], shape[1], *[1] * (len(shape) - 2)))  # groups differ
    x = loc + spread * (rng.standard_normal(shape) + 2 * spread)
    gamma = rng.uniform(0.3, 2, relative.gamma_shape(shape))
    gamma *= rng.choice([-1, 1], gamma.shape)
    beta, dy = rng.normal(0, 3, gamma.shape), rng.standard_normal(shape) + rng.normal(0, 2)
    x, gamma, beta, dy = (a.astype(dtype) for a in (x, gamma, beta, dy))
    return Case(lay_out(x, layout), gamma, beta, lay_out(dy, layout), eps)


@st.composite
def cases(draw, dtype=np.float64):
    """A name in RELATIVES and a random case for it."""
    kind = draw(st.sampled_from(list(RELATIVES)))
    n, c = draw(st.sampled_from([1, 2, 3, 17])), draw(st.sampled_from([4, 6, 8]))
    spatial = draw(st.lists(st.integers(2, 4), min_size=RELATIVES[kind].positions, max_size=3))
    settings = {"seed": draw(st.integers(0, 10_000)), "eps": draw(st.sampled_from([1e-5, 0.1]))}
    settings |= {"layout": draw(st.sampled_from(LAYOUTS)), "loc": draw(st.sampled_from([0.0, -9]))}
    return kind, make(kind, (n, c, *spatial), dtype=dtype, **settings)


def run(lib, kind, case, **changes):
    """y and the cache."""
    changes = {"x": case.x, "gamma": case.gamma, "beta": case.beta, "eps": case.eps} | changes
    return RELATIVES[kind].forward(lib, **changes)


# -- Against slow references, differences, and each other ------------------------------------------


def each_kind(test):
    """A first example of every kind, so that none is left to chance."""
    for kind in RELATIVES:
        test = example(drawn=(kind, make(kind)))(test)
    return test


@given(drawn=cases())
@each_kind
def test_equals_the_definition_and_the_chain_rule_in_stages(lib, drawn):
    kind, case = drawn
    y, cache = run(lib, kind, case)
    gradients = RELATIVES[kind].backward(lib, case.dy, cache)
    expected_y, _, *expected = RELATIVES[kind].reference(
        case.x, case.gamma, case.beta, case.eps, case.dy
    )
    close(y, expected_y, 1e-11)
    size = np.abs(case.dy).max() * np.abs(case.gamma).max() / case.eps**0.5
    close(gradients[0], expected[0], 1e-11, scale=size)
    assert len(gradients) == 2 + RELATIVES[kind].has_mean
    for gradient, wanted in zip(gradients[1:], expected[1:]):
        close(gradient, wanted, 1e-11, scale=np.abs(case.dy).sum())


@ALL
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 4, 4), (2, 6, 3)])
def test_gradients_agree_with_differences(lib, kind, shape):
    case, saved = make(kind, shape, seed=1, eps=0.1), {}
    names = ["x", "gamma", "beta"] if RELATIVES[kind].has_mean else ["x", "gamma"]

    def forward(x, gamma, beta=None):
        y, saved["cache"] = run(lib, kind, case, x=x, gamma=gamma, beta=beta)
        return y

    def backward(dy):
        return dict(zip(names, RELATIVES[kind].backward(lib, dy, saved["cache"])))

    report = gradcheck(forward, backward, {name: getattr(case, name) for name in names}, tol=1e-7)
    assert report.passed, report


def test_an_example_worked_out_by_hand(lib):
    """x = 1, 3 and eps = 3: mean 2, variance 1, root 2; mean square 5, with eps = 4 root 3."""
    x, gamma, beta = np.array([[1.0, 3.0]]), np.array([4.0, 2.0]), np.array([10.0, 20.0])
    for relative in (LAYER, Relative("group_norm", groups=1)):
        y, cache = relative.forward(lib, x, gamma, beta, eps=3.0)
        assert y.tolist() == [[8.0, 21.0]]
        # g = gamma * dy = 4, 4: its mean is 4 and its part along xhat 0, so nothing is left
        dx, dgamma, dbeta = relative.backward(lib, np.array([[1.0, 2.0]]), cache)
        assert (dx.tolist(), dgamma.tolist(), dbeta.tolist()) == ([[0, 0]], [-0.5, 1], [1, 2])
    y, cache = lib.rms_norm(x, np.array([3.0, 6.0]), eps=4.0)
    assert y.tolist() == [[3 * 1 / 3, 6 * 3 / 3]]
    # xhat = 1/3, 1; g = 3, 0; sum(g * xhat) / 2 = 1/2; dx = (g - xhat / 2) / 3
    dx, dgamma = lib.rms_norm_backward(np.array([[1.0, 0.0]]), cache)
    close(dx, np.array([[(3 - 1 / 6) / 3, -1 / 6]]), 1e-15)
    close(dgamma, np.array([1 / 3, 0]), 1e-15)


def test_they_are_one_another_where_their_groups_are(lib):
    case = make("instance_norm", (1, 4, 5, 2))
    eps, one = {"eps": case.eps}, np.ones(4)
    instance = INSTANCE.forward(lib, case.x, case.gamma, case.beta, **eps)[0]
    assert np.array_equal(lib.group_norm(case.x, 4, case.gamma, case.beta, **eps)[0], instance)
    close(lib.batch_norm(case.x, case.gamma, case.beta, **eps)[0], instance, 1e-13)  # one image
    x, zero = np.random.default_rng(0).normal(2, 3, (6, 4)), np.zeros(4)
    layer = LAYER.forward(lib, x, case.gamma, case.beta, **eps)[0]
    close(lib.group_norm(x, 1, case.gamma, case.beta, **eps)[0], layer, 1e-13)
    turned = lib.batch_norm(x.T.copy(), np.ones(6), np.zeros(6), **eps)[0].T
    close(turned, lib.layer_norm(x, one, zero, **eps)[0], 1e-13)
    centred = x - x.mean(axis=1, keepdims=True)
    close(lib.rms_norm(centred, one, 1e-5)[0], lib.layer_norm(x, one, zero)[0], 1e-13)


# -- What they mean -------------------------------------------------------------------------------


@given(drawn=cases())
def test_an_example_does_not_see_the_others(lib, drawn):
    kind, case = drawn
    y, cache = run(lib, kind, case)
    dx = RELATIVES[kind].backward(lib, case.dy, cache)[0]
    for i in (0, len(case.x) - 1):
        one, one_cache = run(lib, kind, case, x=case.x[i : i + 1])
        close(one, y[i : i + 1], 1e-13)
        one_dx = RELATIVES[kind].backward(lib, case.dy[i : i + 1], one_cache)[0]
        close(one_dx, dx[i : i + 1], 1e-11, scale=np.abs(case.dy).max() / case.eps**0.5)


@given(drawn=cases(), scale=st.sampled_from([0.1, 3.0, 50.0]), shift=st.floats(1, 9))
def test_y_does_not_see_the_scale_of_an_example_nor_its_mean_but_for_rms(lib, drawn, scale, shift):
    kind, case = drawn
    y, _ = run(lib, kind, case)
    eps = case.eps * scale**2
    close(run(lib, kind, case, x=scale * case.x, eps=eps)[0], y, 1e-10)
    moved = run(lib, kind, case, x=scale * case.x + shift, eps=eps)[0]
    if RELATIVES[kind].has_mean:
        close(moved, y, 1e-8)
    else:
        assert np.abs(moved - y).max() > 1e-3


@ALL
def test_groups_have_mean_0_and_mean_square_1_before_gamma_and_beta(lib, kind):
    case, relative = make(kind, eps=1e-12), RELATIVES[kind]
    y, _ = run(lib, kind, case, gamma=0 * case.gamma + 1, beta=0 * case.beta)
    group = relative.labels(y.shape)[0]
    means = np.array([y[group == k].mean() for k in range(group.max() + 1)])
    squares = np.array([(y[group == k] ** 2).mean() for k in range(group.max() + 1)])
    close(squares, np.ones(len(squares)), 1e-10)
    if relative.has_mean:
        close(means, np.zeros(len(means)), 1e-12, scale=1)
    else:
        assert np.abs(means).min() > 1e-3


@ALL
def test_a_constant_example_gives_beta_with_finite_gradients(lib, kind):
    case = make(kind)
    case.x[1] = 0.1 if RELATIVES[kind].has_mean else 0.0
    y, cache = run(lib, kind, case)
    shape = case.gamma.shape if RELATIVES[kind].over_last_axes else (-1, 1, 1)
    beta = np.broadcast_to(case.beta.reshape(shape), y[1].shape)
    close(y[1], beta if RELATIVES[kind].has_mean else 0 * beta, 1e-10, scale=1)
    assert all(np.isfinite(g).all() for g in RELATIVES[kind].backward(lib, case.dy, cache))


def test_the_default_eps_of_rms_norm_is_that_of_the_dtype(lib):
    for dtype in (np.float32, np.float64):
        x, one = np.full((2, 2), 1e-9, dtype), np.ones(2)
        expected = 1e-9 / np.sqrt(1e-18 + np.finfo(dtype).eps)
        close(lib.rms_norm(x, one)[0], np.full((2, 2), expected), 1e-6)
    with pytest.raises(ValueError, match="group 0 has the mean square 0"):
        lib.rms_norm(0 * x, one, 0)


# -- Precision and memory -------------------------------------------------------------------------


@given(drawn=cases(dtype=np.float32))
def test_float32_stays_float32(lib, drawn):
    kind, case = drawn
    y, cache = run(lib, kind, case, gamma=case.gamma.astype(np.float64))
    arrays = [y, *RELATIVES[kind].backward(lib, case.dy, cache)]
    arrays += [a for a in cache if isinstance(a, np.ndarray)]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


@ALL
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_are_left_alone_and_layouts_give_the_same_numbers(lib, kind, layout):
    case, plain = make(kind, layout=layout), make(kind)
    y, cache = run(lib, kind, case)
    expected, plain_cache = run(lib, kind, plain)
    close(y, expected, 1e-13)
    gradients = [g.copy() for g in RELATIVES[kind].backward(lib, case.dy, cache)]
    for a, b in zip(gradients, RELATIVES[kind].backward(lib, plain.dy, plain_cache), strict=True):
        close(a, b, 1e-11)
    for name in ("x", "gamma", "beta", "dy"):
        assert np.array_equal(getattr(case, name), getattr(plain, name))
    y *= -1  # an in-place nonlinearity
    case.x[...] = 7  # the caller reuses its batch
    dx, *rest = RELATIVES[kind].backward(lib, case.dy, cache)
    for a, b in zip((dx, *rest), gradients, strict=True):
        assert np.array_equal(a, b)
    assert not np.shares_memory(dx, case.dy)


# -- Errors ---------------------------------------------------------------------------------------

GOOD = np.arange(24.0).reshape(4, 6)
ONE6 = np.ones(6)


@ALL
@pytest.mark.parametrize("x", [[[1.0, 2.0]], GOOD.astype(int), GOOD.astype(object), None])
def test_what_is_no_float_array_is_refused(lib, kind, x):
    with pytest.raises(TypeError, match="expected x as a float32 or float64 array, got a"):
        RELATIVES[kind].forward(lib, x, ONE6, ONE6)


@pytest.mark.parametrize(
    "relative, x, message",
    [
        (
            LAYER,
            GOOD.T.copy(),
            r"such as \(4,\) for x of shape \(6, 4\), got \(6,\): did you.* x.T",
        ),
        (RMS, GOOD.T.copy(), r"such as \(4,\) for x of shape \(6, 4\), got \(6,\): did you.* x.T"),
        (LAYER, np.ones((2, 6, 3, 3)), r"got \(6,\): one number a channel is what group_norm"),
        (LAYER, np.ones((2, 5)), r"got \(6,\): the statistics are taken over these axes"),
        (LAYER, np.ones((0, 6)), r"for x of shape \(0, 6\), got"),
        (GROUP, GOOD.T.copy(), r"gamma of shape \(4,\) for x of shape \(6, 4\), .* x.T"),
        (GROUP, np.ones(6), r"\(N, D\) or \(N, C, \*spatial\).*, got \(6,\)"),
        (INSTANCE, np.ones((2, 3, 6)), r"gamma of shape \(3,\) for x of shape \(2, 3, 6\)"),
        (INSTANCE, np.ones((0, 6, 2)), r"with N >= 1, got \(0, 6, 2\)"),
        (INSTANCE, GOOD, r"more than one value in each group.*\(4, 6\): .* instance norm pos"),
        (Relative("group_norm", groups=6), GOOD, "more than one value in each group, got groups"),
        (Relative("group_norm", groups=4), GOOD, "divides the 6 channels, got 4: every group"),
        (Relative("group_norm", groups=0), GOOD, "num_groups >= 1, a whole number, got 0"),
        (Relative("group_norm", groups=2.0), GOOD, "num_groups >= 1, a whole number, got 2.0"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_likely_cause(lib, relative, x, message):
    with pytest.raises(ValueError, match=message):
        relative.forward(lib, x, ONE6, ONE6)


def test_one_feature_and_a_beta_of_another_shape_are_refused(lib):
    for call in (
        lambda: lib.layer_norm(np.ones((3, 1)), np.ones(1), np.ones(1)),
        lambda: lib.rms_norm(np.ones((3, 1)), np.ones(1)),
    ):
        with pytest.raises(ValueError, match=r"groups of one in x of shape \(3, 1\): .* features"):
            call()
    with pytest.raises(ValueError, match=r"beta of shape \(6,\), that of gamma, got \(6, 1\)"):
        lib.layer_norm(GOOD, ONE6, np.ones((6, 1)))
    for gamma in (1.0, np.ones(())):
        with pytest.raises(ValueError, match=r"gamma shaped like the last axes of x.*got \(\)"):
            lib.layer_norm(GOOD, gamma, gamma)


@ALL
@pytest.mark.parametrize("eps", [-1e-5, np.nan, np.inf, "1e-5", [1e-5]])
def test_eps_must_be_a_number_of_at_least_0(lib, kind, eps):
    with pytest.raises(ValueError, match="expected eps >= 0, a finite number, got"):
        run(lib, kind, make(kind), eps=eps)


@ALL
def test_a_variance_of_0_needs_eps(lib, kind):
    """Also where rounding makes it a little more than 0."""
    case = make(kind)
    group = RELATIVES[kind].labels(case.x.shape)[0]
    case.x[group == 3 % (group.max() + 1)] = 0.1 if RELATIVES[kind].has_mean else 0.0
    what = "variance" if RELATIVES[kind].has_mean else "mean square"
    where = rf"group {3 % (group.max() + 1)} has the {what} 0 .* eps is 0"
    with pytest.raises(ValueError, match=where):
        run(lib, kind, case, eps=0)
    case = make(kind)
    expected = RELATIVES[kind].reference(case.x, case.gamma, case.beta, 0, case.dy)[0]
    close(run(lib, kind, case, eps=0)[0], expected, 1e-12)


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_infinity_and_overflow_are_named_with_their_group(lib, kind, bad):
    case = make(kind)
    _, cache = run(lib, kind, case)
    where, group = (1, 3, 4, 1), RELATIVES[kind].labels(case.x.shape)[0]
    case.x[where] = case.dy[where] = bad
    with pytest.raises(NonFiniteError, match=f"in x, got NaN or infinity in group {group[where]}:"):
        run(lib, kind, case)
    with pytest.raises(NonFiniteError, match=f"in dy, got .* in group {group[where]}: has"):
        RELATIVES[kind].backward(lib, case.dy, cache)
    case = make(kind)
    case.x[where] *= 1e200
    with pytest.raises(NonFiniteError, match=f"x holds numbers up to .* in group {group[where]}"):
        run(lib, kind, case)
    for name in ("gamma", "beta") if RELATIVES[kind].has_mean else ("gamma",):
        vector = getattr(make(kind), name)
        vector.flat[2] = bad
        with pytest.raises(NonFiniteError, match=f"in {name}, got NaN or infinity in channel 2"):
            run(lib, kind, make(kind), **{name: vector})
        with pytest.raises(TypeError, match=f"real numbers in {name}, got"):
            run(lib, kind, make(kind), **{name: vector.astype(complex)})


@ALL
def test_gradients_that_overflow_are_refused(lib, kind):
    case = make(kind)
    _, cache = run(lib, kind, case, gamma=1e-9 * case.gamma)  # dx is small, the sums are not
    with pytest.raises(NonFiniteError, match="dy holds numbers up to"):
        RELATIVES[kind].backward(lib, np.full(case.dy.shape, 1.7e308) * np.sign(case.x), cache)


@ALL
@pytest.mark.parametrize("shape", [(2, 4, 5), (4, 4, 5, 3), (1, 4, 5, 3), ()])
def test_dy_of_the_wrong_shape_is_refused(lib, kind, shape):
    _, cache = run(lib, kind, make(kind))
    with pytest.raises(ValueError, match=r"dy of shape \(2, 4, 5, 3\), the shape of y, got"):
        RELATIVES[kind].backward(lib, np.ones(shape), cache)


def test_a_relative_costs_at_most_25_lines():
    """With its backward pass and what it shares with others, docstrings left out."""
    tree = ast.parse(Path(bnlib.functional.__file__).read_text())
    lines = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            doc = ast.get_docstring(node, clean=False)
            docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if doc else 0
            lines[node.name] = node.end_lineno - first + 1 - docstring
    for name in ("layer_norm", "group_norm", "instance_norm", "rms_norm"):
        assert lines[name] + lines.get(f"{name}_backward", 0) <= 25
    shared = lines["_normalize"] + lines["group_norm_backward"]
    assert shared + sum(lines[n] for n in ("layer_norm", "group_norm", "instance_norm")) <= 3 * 25
