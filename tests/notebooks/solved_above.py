"""Does anything that stands above an exercise solve it?

A reader has seen visible cells, code blocks in the text, and source code that a cell prints. Run
with the arguments of the exercise in place of its variables, none of it may compute all that the
solution returns (`computing`); and of the solution's lines, whatever their variables are called, no
more than half may stand there (`copied`).
"""

import ast
import builtins
import copy
import itertools
import math
import re
import warnings
from functools import cached_property

import numpy as np

MAX_MAPPINGS = 200  # ways to give the arguments to the variables of a piece of code
LONGEST = 3  # cells in a row that are tried together; beyond that, all cells of the notebook
SIGNIFICANT = 3  # operations in a line of a solution that is no commonplace
ALLOWED = (
    "abs all any bool dict divmod enumerate float int isinstance len list map max min pow range "
    "reversed round set slice sorted sum tuple zip ArithmeticError Exception ValueError "
    "__import__"  # NumPy calls it, when some of its functions run for the first time
)
BUILTINS = {name: getattr(builtins, name) for name in ALLOWED.split()}
NAMESPACE = {"__builtins__": BUILTINS, "np": np, "numpy": np, "math": math}
SKIPPED = (ast.Import, ast.ImportFrom, ast.While, ast.ClassDef)
OPERATIONS = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Subscript)
ARRAY = set(dir(np.ndarray))


# --- code above ---------------------------------------------------------------------------------


def names(node, context):
    """The names that are looked up (ast.Load) or given a value (ast.Store) in it.

    What is augmented (x -= mean) is both.
    """
    found = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    also = [n.target for n in ast.walk(node) if isinstance(n, ast.AugAssign)]
    return {n.id for n in found if isinstance(n.ctx, context)} | {
        n.id for n in also if isinstance(n, ast.Name)
    }


class Step:
    """One statement, and the expressions in it that compute something, as far as they can be run.

    reads, makes: the names that what can be run looks up, and those that it gives a value.
    """

    def __init__(self, node, strange):
        local = {a.arg for n in ast.walk(node) if isinstance(n, ast.arguments) for a in n.args}
        known = local | NAMESPACE.keys() | BUILTINS.keys()
        self.code, self.makes, self.expressions = None, set(), []
        for n in ast.walk(node):
            reads = names(n, ast.Load) - known
            if isinstance(n, ast.BinOp | ast.Call) and not reads & strange:
                self.expressions.append((compile(ast.Expression(n), "<above>", "eval"), reads))
        self.reads = set().union(*(reads for _, reads in self.expressions))
        if not (names(node, ast.Load) - known) & strange:
            self.code = compile(ast.Module([node], []), "<above>", "exec")
            self.reads, self.makes = names(node, ast.Load) - known, names(node, ast.Store)


class Snippet:
    """A piece of code that a reader has seen; `where` says which."""

    def __init__(self, where, source):
        self.where = where
        try:
            self.body = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)).body
        except SyntaxError:
            self.body = []

    @cached_property
    def steps(self):
        """What NumPy alone can run, on arrays; functions as if their statements stood here."""
        nodes = list(flat(copy.deepcopy(self.body)))
        strange = set()  # names that are called, or have attributes that no array has
        for n in ast.walk(ast.Module(self.body, [])):
            if (
                isinstance(n, ast.Call)
                and isinstance(n.func, ast.Name)
                and n.func.id not in BUILTINS
            ):
                strange.add(n.func.id)
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
                if n.attr not in ARRAY and n.value.id not in NAMESPACE:
                    strange.add(n.value.id)
        found = [Step(node, strange) for node in nodes]
        return [step for step in found if step.code or step.expressions]

    @cached_property
    def made(self):
        return {name for step in self.steps for name in step.makes}

    @cached_property
    def variables(self):
        """What an argument could stand for: names that are read.

        What the code does not make itself comes first: that is what it would get.
        """
        read = dict.fromkeys(name for step in self.steps for name in sorted(step.reads))
        return sorted(read, key=lambda name: name in self.made)

    @cached_property
    def lines(self):
        """Its statements in the form that `copied` compares, and the parts of these."""
        return {line for line, _ in canonical_lines(ast.Module(self.body, []), parts=True)}


def flat(body):
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield from flat(node.body)
        elif isinstance(node, ast.Return):
            yield ast.copy_location(ast.Expr(node.value or ast.Constant(None)), node)
        elif not any(isinstance(n, (*SKIPPED, ast.Return)) for n in ast.walk(node)):
            yield node


def snippets(nb, name):
    """The code of a notebook in order, with the position of its cell."""
    for at, cell in enumerate(nb.cells):
        where = f"{name}, {cell.id}"
        if cell.cell_type == "markdown":
            for block in re.findall(r"^```\w*\n(.*?)^```", cell.source, re.M | re.S):
                yield at, Snippet(where, block)
        elif cell.cell_type == "code":
            if not cell.metadata.get("jupyter", {}).get("source_hidden"):
                yield at, Snippet(where, cell.source)
            for output in cell.outputs:
                if "def " in output.get("text", ""):
                    yield at, Snippet(f"{where} (printed)", output.text)


def attempts(above):
    """What a learner could take of the code above in one notebook: pieces in a row, or all."""
    yield from above
    for length in range(2, LONGEST + 1):
        for at in range(len(above) - length + 1):
            *before, last = above[at : at + length]
            if {*last.variables} & set().union(*(piece.made for piece in before)):
                yield joined([*before, last])
    if len(above) > LONGEST:
        yield joined(above)


def joined(snippets):
    """Several in a row, as one."""
    result = Snippet(f"{snippets[0].where} to {snippets[-1].where}", "")
    result.body = [node for snippet in snippets for node in snippet.body]
    return result


# --- does it compute the same? ------------------------------------------------------------------


class Exercise:
    """What this module has to know of one."""

    def __init__(self, name, exercise):
        self.name, self._exercise = name, exercise
        self.source = str(exercise.solution())
        self.parameters = list(exercise.parameters)

    @cached_property
    def rows(self):
        """The batches that its check tries; none of a class or a search, which is not run."""
        rows = [] if self._exercise.adapted else self._exercise.rows
        return [row for row in rows if not row.probe.may_raise and not row.probe.large]

    @cached_property
    def lines(self):
        """The significant lines of the solution, in the form that `copied` compares."""
        found = dict(canonical_lines(ast.parse(self.source)))
        least = min(SIGNIFICANT, max(found.values(), default=0))
        return {line for line, operations in found.items() if operations >= max(1, least)}


def bare(name):
    """x for x, X, x_ and x2."""
    return re.sub(r"[_\d]", "", name).lower()


def mappings(snippet, parameters):
    """Ways to name the arguments: {parameter: variable}, those that share names first."""
    variables = snippet.variables
    if len(variables) < len(parameters):
        return ()
    same = {p: v for p in parameters for v in variables if bare(v) == bare(p)}
    same |= {p: p for p in parameters if p in variables}
    others = [p for p in parameters if p not in same]
    free = [v for v in variables if v not in same.values()]
    kept = (same | dict(zip(others, some)) for some in itertools.permutations(free, len(others)))
    every = itertools.permutations(variables, len(parameters))
    rest = (dict(zip(parameters, some)) for some in every)
    return itertools.islice(itertools.chain(kept, rest), MAX_MAPPINGS)


def values(snippet, given):
    """Run the code on {variable: value}; yield all it computes from them."""
    first = next((v for v in given.values() if np.ndim(v)), np.zeros((1, 1)))
    sizes = {"N": len(first), "n": len(first), "m": len(first), "D": np.shape(first)[-1]}
    space, derived = NAMESPACE | sizes | given, set(given)
    for step in snippet.steps:
        uses = step.reads & derived
        if step.makes & given.keys() and not uses:
            continue  # the cell makes its own x here: the argument stands in its place
        for code, reads in step.expressions if uses else ():
            if reads & derived and reads <= space.keys():
                yield try_to(eval, code, space)
        if step.code and step.reads <= space.keys():
            try_to(exec, step.code, space)
        if uses:
            derived |= step.makes
            yield from (space.get(name) for name in step.makes)


def try_to(run, *args):
    """What run(*args) returns; None if it raises, as most code does with other arguments."""
    try:
        return run(*args)
    except Exception:
        return None


def computing(snippet, exercise):
    """The renaming {parameter: variable} with which the code computes all outputs, or None."""

    def computes(mapping, row):
        given = {mapping[p]: copy.deepcopy(value) for p, value in row.probe.args.items()}
        missing = list(row.expected)
        for value in values(snippet, given):
            value = try_to(np.asarray, value)
            missing = [name for name in missing if not try_to(row.right, name, value)]
        return not missing

    if not exercise.rows:
        return None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing, and the like
        for mapping in mappings(snippet, exercise.parameters):
            if all(computes(mapping, row) for row in exercise.rows):
                return mapping
    return None


# --- do its lines stand there? ------------------------------------------------------------------


def canonical_lines(tree, parts=False):
    """(text, operations) of each computing line, its variables called v0, v1, ... in order.

    Which name the result gets does not matter, nor whether it is returned. With parts: also what
    stands inside a line, as in print(...) or np.allclose(...).
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.Return | ast.Expr | ast.AnnAssign):
            continue
        value = node.value
        whole = value.elts if isinstance(value, ast.Tuple) else [value]
        inside = ast.walk(value) if parts and value else ()
        for expression in [*whole, *(n for n in inside if isinstance(n, ast.BinOp | ast.Call))]:
            if expression is None or isinstance(expression, ast.Constant):
                continue
            operations = sum(isinstance(n, OPERATIONS) for n in ast.walk(expression))
            if operations:
                yield canonical(expression), operations


def canonical(expression):
    tree, names = copy.deepcopy(expression), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in NAMESPACE:
            node.id = names.setdefault(node.id, f"v{len(names)}")
    return ast.unparse(tree)


def copied(seen, known, exercise):
    """Where the solution's lines stand: {line: place}, if that is more than half of them.

    seen: {line: place} of all code above.  known: lines of the exercises before this one, which the
    learner has written already.
    """
    new = exercise.lines - known
    found = {line: seen[line] for line in new if line in seen}
    return found if 2 * len(found) > len(new) else {}
