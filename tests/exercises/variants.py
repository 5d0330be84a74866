"""Random wrong programs, made from the correct ones in `styles.py`.

`variants(name)` changes the source of a correct solution at random: an operator, a sign, an axis,
a constant, a name or a function, or it drops a statement. Some of these programs happen to be
correct all the same (`x.mean(0)` to `x.mean(-2)`): `is_equivalent` finds them, by comparison with
the reference on the exercise's probes, drawn anew.
"""

import ast
import copy
import inspect
import random
import re
import textwrap
import warnings
from functools import cache
from unittest import mock

import numpy as np
from exercises import styles

from bnlib import exercises

FUNCTIONS = ("mean", "sum", "var", "std", "max", "sqrt", "square", "abs", "cumsum")
# What stands in a source, and what may stand there instead; {} is what stood there.
CHANGES = {
    r"(?<= )(\+|-|\*|/|\*\*)(?= )": ("+", "-", "*", "/", "**"),
    rf"\b({'|'.join(FUNCTIONS)})(?=\()": FUNCTIONS,
    r"(?<![\w.])[\d.]+\b": ("0", "1", "2", "-1", "0.5", "3"),
    r", (axis|keepdims|ddof)=[^,)]+": ("",),
    r"^ +.*\n": ("",),
}
WRAPPED = ("-{}", "np.abs({})", "({} ** 2)", "(2 * {})", "({} * 0.9)", "(1 / {})")


def variants(name: str, tries: int, seed: int):
    """Yield (source, function) of different programs; all are named like the exercise."""
    rng = random.Random(f"{name} {seed}")
    sources = [source_of(style, name) for style in styles.written(name).values()]
    seen = set(sources)
    for _ in range(tries):
        try:
            source = changed(rng.choice(sources), rng)
            if rng.random() < 0.25:
                source = changed(source, rng)
            function = compiled(source, name)
        except (SyntaxError, KeyError):  # it is no Python, or no function
            continue
        if source not in seen:
            seen.add(source)
            yield source, function


def source_of(style, name: str) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(style)))
    tree.body[0].name = name
    return ast.unparse(tree) + "\n"


def changed(source: str, rng: random.Random) -> str:
    """The source with one random change below its first line."""
    names = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)} - {"np"}
    of_names = {rf"(?<![\w.])({'|'.join(names)})\b": (*sorted(names), *WRAPPED)}
    body = source.index("\n") + 1
    pattern, others = rng.choice([*(CHANGES | of_names).items(), *of_names.items()])
    places = [m for m in re.finditer(pattern, source, re.MULTILINE) if m.start() >= body]
    if not places:
        return source
    place = rng.choice(places)
    return source[: place.start()] + rng.choice(others).format(place[0]) + source[place.end() :]


def compiled(source: str, name: str):
    space = {"np": np}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(source, "<variant>", "exec"), space)
    return space[name]


@cache
def fresh_rows(name: str) -> list:
    """The ordinary probes of an exercise with other random numbers, and the reference's outputs."""
    again, make = copy.copy(exercises.available[name]), np.random.default_rng
    vars(again).pop("rows", None)
    with mock.patch("numpy.random.default_rng", lambda seed: make([seed, 1])):
        rows = again.rows
    # For whole numbers a program that works in place may raise.
    return [
        r
        for r in rows
        if not (r.probe.tag or r.probe.may_raise or r.probe.single or r.probe.integers)
    ]


def is_equivalent(function, name: str) -> bool:
    """Does function give what the reference gives, to within 1e-4, on all fresh inputs?"""
    for row in fresh_rows(name):
        args = [np.array(a) if np.ndim(a) else a for a in row.probe.args.values()]
        want = list(row.expected.values())
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                got = function(*args)
                got = [np.asarray(g, np.float64) for g in (got if len(want) > 1 else [got])]
            except Exception:
                return False
        if [g.shape for g in got] != [w.shape for w in want]:
            return False
        if not all(np.all(np.abs(g - w) <= 1e-4 * (1 + abs(w).max())) for g, w in zip(got, want)):
            return False
    return True
