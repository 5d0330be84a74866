"""No exercise is solved by what stands above it, in its notebook or in an earlier one."""

import re
from functools import cache

import pytest
import refresh
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from solved_above import Exercise, Snippet, attempts, computing, copied, snippets
from test_solutions import all_exercises, exercises_of

import bnlib.exercises

NOTEBOOKS = sorted(refresh.NOTEBOOKS.glob("*.ipynb"))


def exercise(name):
    return Exercise(name, getattr(bnlib.exercises, name))


@cache
def seen_in(path):
    """(position, snippet) of all code in a notebook."""
    return list(snippets(refresh.read(path), path.name))


@cache
def attempts_in(path):
    return list(attempts([snippet for _, snippet in seen_in(path)]))


def places(code):
    return {line: snippet.where for snippet in reversed(code) for line in snippet.lines}


CASES = all_exercises()


@pytest.mark.parametrize(("path", "name"), CASES, ids=lambda case: getattr(case, "stem", case))
def test_nothing_above_solves_the_exercise(path, name):
    task = exercise(name)
    earlier = NOTEBOOKS[: NOTEBOOKS.index(path)]
    position = exercises_of(refresh.read(path))[name]
    here = [snippet for at, snippet in seen_in(path) if at < position]

    tried = [*attempts(here), *(a for other in earlier for a in attempts_in(other))]
    for snippet in tried:
        how = computing(snippet, task)
        assert not how, f"{name} is computed by {snippet.where}, with {how}"

    code = [*here, *(snippet for other in earlier for _, snippet in seen_in(other))]
    before = CASES[: CASES.index((path, name))]
    known = set().union(*(Snippet("", exercise(other).source).lines for _, other in before))
    lines = copied(places(code), known, task)
    assert not lines, f"lines of the solution of {name} stand above it: {lines}"


# --- the two questions can be answered with yes ---------------------------------------------------


def notebook(*cells):
    return new_notebook(cells=[new_code_cell(c) if isinstance(c, str) else c for c in cells])


def solved(nb, name):
    found = (computing(s, exercise(name)) for s in attempts([s for _, s in snippets(nb, "nb")]))
    return next(filter(None, found), None)


SOLVING = {
    "other names": ["m = t.mean(axis=0)\nz = (t - m) / np.sqrt(t.var(axis=0) + tiny)"],
    "two cells": ["m = t.mean(axis=0)\nc = t - m", "z = c / np.sqrt((c**2).mean(0) + tiny)"],
    "an x of the cell's own": [
        "rng = np.random.default_rng(0)\nx = rng.normal(size=(8, 3))\neps = 0.1\n"
        "print((x - x.mean(0)) / np.sqrt(x.var(0) + eps))"
    ],
    "inside a comparison": [
        "assert np.allclose(bn(x, eps), (x - x.mean(0)) / np.sqrt(x.var(0) + eps))"
    ],
    "a function": ["def f(tiny, t):\n    return (t - t.mean(0)) / np.sqrt(t.var(0) + tiny), tiny"],
    "changed in place": ["z = x - x.mean(0)\nz /= np.sqrt(x.var(0) + eps)"],
    "in the text": [
        new_markdown_cell("So:\n\n```python\nz = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)\n```")
    ],
    "printed": [
        new_code_cell(
            "print(source)",
            outputs=[
                new_output(
                    "stream",
                    name="stdout",
                    text="def f(x, e):\n    return (x - x.mean(0)) / np.sqrt(x.var(0) + e)\n",
                )
            ],
        )
    ],
    "far apart": ["m = x.mean(0)", "1", "2", "v = x.var(0)", "z = (x - m) / np.sqrt(v + eps)"],
}
NOT_SOLVING = {
    "one feature": ["x = t[:, 3]\nz = (x - x.mean()) / np.sqrt(x.var() + eps)"],
    "a loop over one feature": [
        "N = len(column)\nmu = sum(column) / N\nv = sum((a - mu) ** 2 for a in column) / N\n"
        "z = [(a - mu) / np.sqrt(v + eps) for a in column]"
    ],
    "the wrong axis": ["z = (x - x.mean(1)[:, None]) / np.sqrt(x.var(1)[:, None] + eps)"],
    "bnlib's own": ["import bnlib\ny, cache = bnlib.functional.batch_norm(x, 1, 0, eps)"],
    "folded": [
        new_code_cell(
            "z = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)",
            metadata={"jupyter": {"source_hidden": True}},
        )
    ],
}


@pytest.mark.parametrize("cells", SOLVING.values(), ids=SOLVING)
def test_code_that_passes_is_found(cells):
    assert solved(notebook(*cells), "standardize")


@pytest.mark.parametrize("cells", NOT_SOLVING.values(), ids=NOT_SOLVING)
def test_code_that_does_not_pass_is_left_alone(cells):
    assert not solved(notebook(*cells), "standardize")


NODE_BY_NODE = [
    "z = rng.normal(size=(6, 3))\nm = z.mean(axis=0)\nc = z - m\nv = (c**2).mean(axis=0)",
    "s = np.sqrt(v + eps)\nzhat = c / s\nup = rng.normal(size=z.shape)",
    "db = up.sum(axis=0)\ndg = np.sum(up * zhat, axis=0)\ndzhat = gamma * up",
    "dv = np.sum(dzhat * c, axis=0) * -0.5 * (v + eps) ** -1.5",
    "dm = -dzhat.sum(axis=0) / s",
    "assert np.allclose(slope(loss, z), dzhat / s + (dv * 2 * c + dm) / len(z))",
]


def test_a_backward_pass_in_pieces_and_with_other_names_is_found():
    assert solved(notebook(*NODE_BY_NODE), "bn_backward")
    one_feature = [cell.replace("(6, 3)", "6").replace("axis=0", "") for cell in NODE_BY_NODE]
    assert not solved(notebook(*one_feature), "bn_backward")


def test_several_outputs_are_found_wherever_they_are_computed():
    body = exercise("fold_bn").source.split('"""')[2].replace("return ", "result = ")
    renamed = re.sub(r"\b(W|b|gamma|beta|mean|var|eps)\b", r"\1_", body)
    assert solved(notebook("\n".join(line.strip() for line in renamed.splitlines())), "fold_bn")


def test_a_solution_copied_with_other_names_is_found():
    task = exercise("standardize")
    assert task.lines
    renamed = re.sub(r"(?<!\.)\b(x|mean|var|eps)\b", r"\1_9", task.source.split('"""')[2])
    code = Snippet("nb, cell", "def f():\n" + renamed)
    assert set(copied(places([code]), set(), task)) == task.lines
    assert not copied(places([code]), task.lines, task), "known from an earlier exercise"
    assert not copied(places([Snippet("nb", "m = x.mean(axis=0)")]), set(), task)
    inside = Snippet("nb", f"print(np.allclose(y, {max(task.lines, key=len)}))")
    assert inside.lines & task.lines
