"""Right functions, and changes that make wrong ones of them: what several tests need."""

import numpy as np

from bnlib import exercises

F32 = np.float32


def xh(x, eps):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def ref(dy, x, gamma, eps):
    std, z = np.sqrt(x.var(0) + eps), xh(x, eps)
    dx = gamma / std * (dy - dy.mean(0) - z * (dy * z).mean(0))
    return dx, (dy * z).sum(0), dy.sum(0)


def dx_only(change):
    """ref with dx replaced: change(dy, x, gamma, eps, std, xhat)."""

    def function(dy, x, gamma, eps):
        right = ref(dy, x, gamma, eps)
        return change(dy, x, gamma, eps, np.sqrt(x.var(0) + eps), xh(x, eps)), *right[1:]

    return function


def answer(name):
    return exercises.available[name].answer


def all_outputs(name, change):
    """The solution, with change(output) in place of each of its outputs."""

    def function(*args):
        found = answer(name)(*args)
        return tuple(map(change, found)) if isinstance(found, tuple) else change(found)

    return function


def first_output(name, change):
    """The solution, with change(output, args) in place of its first output."""

    def function(*args):
        found = answer(name)(*args)
        if isinstance(found, tuple):
            return change(found[0], args), *found[1:]
        return change(found, args)

    return function


def in_float32(f, *, back=False):
    def function(*args):
        given = [a.astype(F32) if isinstance(a, np.ndarray) else a for a in args]
        found = f(*given)
        if not back:
            return found
        many = isinstance(found, tuple)
        # [()]: a number stays one. (np.float64(a) makes a number of an array (1,) in NumPy 2.0.)
        wide = [np.asarray(a, np.float64)[()] for a in (found if many else [found])]
        return tuple(wide) if many else wide[0]

    return function


def with_globals(source, name, **variables):
    space = {"np": np, "xh": xh, **variables}
    exec(source, space)
    return space[name]


PER_CHANNEL = {"axis": (0, 2, 3), "keepdims": True}


PARAMETERS = {n: list(e.parameters) for n, e in exercises.available.items()}
# The exercises whose solution is a function of arrays: no verdict, no class, no search.
FUNCTIONS = [
    n for n, e in exercises.available.items() if type(e) is exercises.Exercise and not e.adapted
]


def at(name, parameter, change):
    """The solution, with change(argument) in place of this parameter's argument."""
    index = PARAMETERS[name].index(parameter)

    def function(*args):
        return answer(name)(*args[:index], change(args[index]), *args[index + 1 :])

    return function
