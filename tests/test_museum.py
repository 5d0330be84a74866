"""Each exhibit refuses the bug and the obvious wrong mends, and accepts right ones."""

import numpy as np
import pytest

from bnlib import museum


def named(name, function):
    function.__name__ = name
    return function


def in_place(grad, dy):
    grad[...] = dy.sum(axis=0)
    return grad


def centred(dy, x, g, eps):
    c, var = x - x.mean(0), x.var(0) + eps
    return g / np.sqrt(var) * (dy - dy.mean(0) - c * (dy * c).mean(0) / var)


RIGHT = {
    "normalize": [lambda x, eps: (x - x.mean(0)) * (x.var(0) + eps) ** -0.5],
    "gradient": [centred],
    "move": [lambda r, b, m: (1 - m) * r + m * b, lambda r, b, m: [*(r * (1 - m) + b * m)]],
    "variance": [lambda x: ((x - x.mean(0)) ** 2).mean(0), lambda x: x.var(axis=0)],
    "scale_maps": [
        lambda x, g, b: g[:, None, None] * x + b[:, None, None],
        lambda x, g, b: (x.transpose(0, 2, 3, 1) * g + b).transpose(0, 3, 1, 2),
    ],
    "evaluate": [lambda x, m, v, eps: (x - m) * (v + eps) ** -0.5],
    "shift_gradient": [in_place, lambda grad, dy: dy.sum(0)],
}

WRONG = {
    "normalize": [
        lambda x, eps: (x - x.mean(0)) / (x.var(0) + eps),
        lambda x, eps: (x - x.mean(0)) / (np.sqrt(x.var(0)) + eps),
        lambda x, eps: (x - x.mean(0)) / np.sqrt(x.var(0)),
        lambda x, eps: (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + eps),
    ],
    "gradient": [
        lambda dy, x, g, eps: g / np.sqrt(x.var(0) + eps) * (dy - dy.mean(0)),
        lambda dy, x, g, eps: (
            g * (dy - dy.mean(0) - x * (dy * x).mean(0)) / np.sqrt(x.var(0) + eps)
        ),
        lambda dy, x, g, eps: g / np.sqrt(x.var(0) + eps) * (dy - dy.sum(0) - x * (dy * x).sum(0)),
    ],
    "move": [
        lambda r, b, m: m * r + m * b,
        lambda r, b, m: r + (1 - m) * (b - r),
        lambda r, b, m: 0.9 * r + 0.1 * b,
        lambda r, b, m: r + m * b,
    ],
    "variance": [
        lambda x: np.maximum((x**2).mean(0) - x.mean(0) ** 2, 0),  # clipped: 0, and still wrong
        lambda x: np.abs((x**2).mean(0) - x.mean(0) ** 2),
        lambda x: x.var(0, ddof=1),
        lambda x: x.var(),
    ],
    "scale_maps": [
        lambda x, g, b: g[:, None] * x + b[:, None],
        lambda x, g, b: g[None, None, None, :] * x + b[:, None, None],
        lambda x, g, b: (x.reshape(len(x), -1, len(g)) * g + b).reshape(x.shape),
    ],
    "evaluate": [
        lambda x, m, v, eps: (x - m) / np.sqrt(x.var(0) + eps),
        lambda x, m, v, eps: (x - x.mean(0)) / np.sqrt(v + eps),
        lambda x, m, v, eps: (x - m) / (v + eps),
        lambda x, m, v, eps: (x - m) / (np.sqrt(v) + eps),
    ],
    "shift_gradient": [
        lambda grad, dy: dy.mean(0),
        lambda grad, dy: grad,
        lambda grad, dy: dy.sum(),
        lambda grad, dy: dy.sum(0) - grad,
    ],
}


def test_seven_exhibits_each_with_its_source():
    assert len(museum.exhibits) == 7
    assert len({e.url for e in museum.exhibits.values()}) == 7
    for exhibit in museum.exhibits.values():
        assert exhibit.url in repr(exhibit) and exhibit.source.startswith("def " + exhibit.name)


@pytest.mark.parametrize("name", museum.exhibits)
def test_the_bug_is_refused_and_the_mend_accepted(name):
    exhibit = museum.exhibits[name]
    space = {"np": np}
    exec(exhibit.source, space)
    found = museum.check(space[name])
    assert not found.passed and "not yet" in repr(found)
    for right in (exhibit.mended, *RIGHT[name]):
        found = museum.check(named(name, lambda *args, right=right: right(*args)))
        assert found.passed, found


@pytest.mark.parametrize("name", museum.exhibits)
def test_wrong_mends_are_refused(name):
    for i, wrong in enumerate(WRONG[name]):
        assert not museum.check(named(name, wrong)).passed, i
    for nothing in (lambda *args: None, lambda *args: 1 / 0, lambda: 0):
        assert not museum.check(named(name, nothing)).passed


def test_another_name_is_explained():
    with pytest.raises(KeyError, match="expected a function named as an exhibit"):
        museum.check(lambda x: x)


def test_arguments_are_copies():
    """A mend that writes into its arguments does not change what the next case is given."""

    def variance(x):
        x -= x.mean(axis=0)
        return (x**2).mean(axis=0)

    assert museum.check(variance).passed
