"""Does anything that stands above an exercise solve it?

Two questions about each exercise and all code that a reader of the notebooks has seen by then:
visible cells, code blocks in the text, source code that a cell prints.

`passing`: run as the learner's function body, with its variables renamed to the arguments, does it
pass the exercise's check? Every value that the code computes on the way counts as returned: the
exercise's designed batch goes in, and where all outputs of the solution come up, the check decides.

`copied`: do the lines of the solution stand there, whatever their variables are called?
"""

import ast
import builtins
import copy
import functools
import inspect
import itertools
import math
import re
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Ways to give the arguments to the variables of one cell, to those of several cells in a row, and
# to a function that a cell defines.
MAX_MAPPINGS, MAX_MAPPINGS_JOINED, MAX_ORDERS = 200, 40, 120
LONGEST = 3  # cells in a row that are tried together; beyond that, all cells of the notebook
SIGNIFICANT = 3  # operations in a line of a solution that is no commonplace
ALLOWED = (
    "abs all any bool dict divmod enumerate float int isinstance len list map max min pow range "
    "reversed round set slice sorted sum tuple zip ArithmeticError Exception ValueError"
)
NAMESPACE = {
    "__builtins__": {name: getattr(builtins, name) for name in ALLOWED.split()},
    "np": np,
    "numpy": np,
    "math": math,
}
OPERATIONS = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Subscript)
ARRAY = set(dir(np.ndarray))


def stored_names(node):
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
    } | {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}


def loaded_names(node):
    """Names that are looked up; what is augmented (x -= mean) is read too."""
    names = {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    for n in ast.walk(node):
        if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
            names.add(n.target.id)
    local = {a.arg for n in ast.walk(node) if isinstance(n, ast.arguments) for a in n.args}
    return names - local - set(NAMESPACE) - set(NAMESPACE["__builtins__"])


# --- code above ---------------------------------------------------------------------------------


@dataclass
class Step:
    """One statement, and the expressions in it that compute something."""

    code: object
    expressions: list
    loads: set
    stores: set

    @property
    def reads(self):
        """The names that what can be run of it looks up."""
        whole = self.loads if self.code else set()
        return whole.union(*(loads for _, loads in self.expressions))


class Snippet:
    """A piece of code that a reader has seen; `where` says which."""

    def __init__(self, where, source):
        self.where, self.is_joined = where, False
        try:
            self.body = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)).body
        except SyntaxError:
            self.body = []

    @classmethod
    def joined(cls, snippets):
        """Several in a row, as one."""
        result = cls(f"{snippets[0].where} to {snippets[-1].where}", "")
        result.body = [node for snippet in snippets for node in snippet.body]
        result.is_joined = True
        return result

    @cached_property
    def steps(self):
        """What can be run with NumPy alone, on arrays."""
        wrong = (ast.Import, ast.ImportFrom, ast.While, ast.ClassDef)
        found = [step(node) for node in self.body if not isinstance(node, wrong)]
        made = set().union(*(one.stores for one in found)) if found else set()
        tree = ast.Module(self.body, [])
        strange = {
            n.value.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute)
            and isinstance(n.value, ast.Name)
            and n.attr not in ARRAY
        } | {name for name in called_names(tree) if name not in made}
        for one in found:
            one.expressions = [(c, loads) for c, loads in one.expressions if not loads & strange]
            if one.loads & strange:
                one.code = None
        return [one for one in found if one.code or one.expressions]

    @cached_property
    def made(self):
        """The names that it gives a value."""
        return set().union(*(one.stores for one in self.steps if one.code))

    @cached_property
    def reads(self):
        """The names that it looks up."""
        return set().union(*(one.reads for one in self.steps))

    @cached_property
    def variables(self):
        """What an argument could stand for: names that are read and not called."""
        read = dict.fromkeys(name for one in self.steps for name in sorted(one.reads))
        called = called_names(ast.Module(self.body, []))
        # What the code does not make itself comes first: that is what it would get.
        return sorted((name for name in read if name not in called), key=lambda n: n in self.made)

    @cached_property
    def reach(self):
        """Of how many variables the deepest of its values is made: a bound, cheap to have."""
        sources, most = {}, 0
        for one in self.steps:
            made_of = one.reads.union(*(sources.get(name, ()) for name in one.reads))
            most = max(most, len(made_of & set(self.variables)))
            for name in one.stores:
                sources[name] = sources.get(name, set()) | made_of
        return most

    @cached_property
    def functions(self):
        """The functions that it defines, as far as NumPy alone defines them."""
        space = dict(NAMESPACE)
        for one in self.steps:
            if one.code and one.loads <= space.keys():
                try_to(exec, one.code, space)
        return {n: f for n, f in space.items() if inspect.isfunction(f) and n not in NAMESPACE}

    @cached_property
    def lines(self):
        """Its statements in the form that `copied` compares, and the parts of these."""
        return {line for line, _ in canonical_lines(ast.Module(self.body, []), parts=True)}


def called_names(tree):
    return {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Name)
        and n.func.id not in NAMESPACE["__builtins__"]
    }


def step(node):
    found = [n for n in ast.walk(node) if isinstance(n, (ast.BinOp, ast.Call))]
    return Step(
        compile(ast.Module([node], []), "<above>", "exec"),
        [
            (compile(ast.Expression(n), "<above>", "eval"), loaded_names(n))
            for n in ([] if isinstance(node, ast.FunctionDef) else found)
        ],
        loaded_names(node),
        stored_names(node),
    )


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
            first, *others, last = above[at : at + length]
            made = first.made.union(*(other.made for other in others))
            # Pieces that have nothing to do with each other are tried one by one already.
            if last.reads & made and first.made & last.reads.union(*(o.reads for o in others)):
                yield Snippet.joined(above[at : at + length])
    if len(above) > LONGEST:
        yield Snippet.joined(above)


# --- does it pass? ------------------------------------------------------------------------------


class Exercise:
    """What this module has to know of one: `check` and the source of `solution()`."""

    def __init__(self, name, exercise):
        self.name, self.check = name, exercise.check
        self.source = str(exercise.solution())
        self.tree = next(
            n for n in ast.parse(self.source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))
        )
        self.is_function = isinstance(self.tree, ast.FunctionDef)

    @cached_property
    def function(self):
        space = {"np": np, "math": math}
        exec(self.source, space)
        return space[self.tree.name]

    @cached_property
    def parameters(self):
        return [a.arg for a in self.tree.args.args]

    @cached_property
    def example(self):
        """(arguments, outputs) of the first batch that the check tries."""
        calls = []

        @functools.wraps(self.function)
        def spy(*args):
            calls.append(copy.deepcopy(args))
            return self.function(*args)

        self.check(spy)
        with np.errstate(all="ignore"):
            return calls[0], outputs(self.function(*copy.deepcopy(calls[0])))

    @cached_property
    def needs(self):
        """The largest number of arguments that one of the outputs depends on."""
        arguments, expected = self.example
        depends = [0] * len(expected)
        for i, argument in enumerate(arguments):
            changed = copy.deepcopy(list(arguments))
            try:
                changed[i] = np.asarray(argument) * 1.01 + 0.01
                with np.errstate(all="ignore"):
                    now = outputs(self.function(*changed))
            except Exception:
                now = [None] * len(expected)  # no number: count it as needed
            for k, (new, old) in enumerate(zip(now, expected)):
                depends[k] += not equal(new, old)
        return max(depends)

    @cached_property
    def lines(self):
        """The significant lines of the solution, in the form that `copied` compares."""
        found = dict(canonical_lines(self.tree))
        least = min(SIGNIFICANT, max(found.values(), default=0))
        return {line for line, operations in found.items() if operations >= max(1, least)}


def outputs(returned):
    return list(returned) if isinstance(returned, tuple) else [returned]


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
    # The names that agree are kept first; then everything is tried, as far as the bound allows.
    kept = (
        same | dict(zip(others, chosen)) for chosen in itertools.permutations(free, len(others))
    )
    rest = (
        dict(zip(parameters, chosen))
        for chosen in itertools.permutations(variables, len(parameters))
    )
    most = MAX_MAPPINGS_JOINED if snippet.is_joined else MAX_MAPPINGS
    return itertools.islice(itertools.chain(kept, rest), most)


def values_of(snippet, given):
    """Run the code on {variable: value}; yield (place, value) of all it computes from them."""
    space = dict(NAMESPACE, **given)
    first = next((v for v in given.values() if np.ndim(v)), None)
    if first is not None:  # sizes that an earlier cell would have set
        for name in ("N", "n", "m"):
            space.setdefault(name, len(first))
        space.setdefault("D", np.shape(first)[-1])
    derived = set(given)
    for k, one in enumerate(snippet.steps):
        uses = one.loads & derived
        if one.stores & set(given) and not uses:
            continue  # the cell makes its own x here: the argument stands in its place
        for j, (code, loads) in enumerate(one.expressions):
            if loads & derived and loads <= space.keys():
                yield from parts((k, j), try_to(eval, code, space))
        if one.code and one.loads <= space.keys():
            try_to(exec, one.code, space)
            if uses:
                derived |= one.stores
                for name in sorted(one.stores):
                    yield from parts((k, name), space.get(name))


def try_to(run, *args):
    """What run(*args) returns; None if it raises, as most code does with other arguments."""
    try:
        return run(*args)
    except Exception:
        return None


def parts(place, value):
    """The value, and what a tuple of results holds, each with its place."""
    yield place, value
    if isinstance(value, (tuple, list)) and len(value) < 10:
        for i, part in enumerate(value):
            yield (*place, i), part


def equal(value, expected):
    try:
        if np.shape(value) != np.shape(expected):
            return False
        return bool(np.all(np.abs(value - expected) <= 1e-12 + 1e-9 * np.abs(expected)))
    except Exception:
        return False


def programs(snippet, exercise):
    """What a learner tries: (how to say it, a function from arguments to (place, value) pairs)."""
    for name, function in snippet.functions.items() if not snippet.is_joined else ():
        orders = itertools.permutations(range(len(exercise.parameters)))
        for order in itertools.islice(orders, MAX_ORDERS):
            said = f"{name}({', '.join(exercise.parameters[i] for i in order)})"

            def call(args, function=function, order=order):
                yield from parts(("call",), try_to(function, *(args[i] for i in order)))

            yield said, call
    if snippet.reach < exercise.needs:
        return
    for mapping in mappings(snippet, exercise.parameters):

        def body(args, mapping=mapping):
            given = dict(zip(exercise.parameters, args))
            yield from values_of(snippet, {v: given[p] for p, v in mapping.items()})

        yield ", ".join(f"{v} = {p}" for p, v in mapping.items()), body


def passing(snippet, exercise):
    """How the code passes the exercise's check (a function called, or a renaming), or None."""
    if not exercise.is_function or not snippet.steps:
        return None
    arguments, expected = exercise.example
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing, and the like
        for said, program in programs(snippet, exercise):
            places = [None] * len(expected)
            for place, value in program(copy.deepcopy(arguments)):
                for i, output in enumerate(expected):
                    if places[i] is None and equal(value, output):
                        places[i] = place
            if None in places:
                continue

            @functools.wraps(exercise.function)
            def candidate(*args, program=program, places=places):
                computed = dict(program(args))
                result = tuple(computed[place] for place in places)
                return result if len(result) > 1 else result[0]

            if exercise.check(candidate).passed:
                return said
    return None


# --- do its lines stand there? ------------------------------------------------------------------


def canonical_lines(tree, parts=False):
    """(text, operations) of each computing line, its variables called v0, v1, ... in order.

    Which name the result gets does not matter, nor whether it is returned. With parts: also what
    stands inside a line, as in print(...) or np.allclose(...).
    """
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr, ast.AnnAssign)):
            continue
        value = node.value
        whole = value.elts if isinstance(value, ast.Tuple) else [value]
        inside = ast.walk(value) if parts and value else ()
        for expression in [*whole, *(n for n in inside if isinstance(n, (ast.BinOp, ast.Call)))]:
            if expression is None or isinstance(expression, ast.Constant):
                continue
            operations = sum(isinstance(n, OPERATIONS) for n in ast.walk(expression))
            if operations:
                yield canonical(expression), operations


def canonical(expression):
    tree = copy.deepcopy(expression)
    names = {}
    for node in ordered(tree):
        if isinstance(node, ast.Name) and node.id not in NAMESPACE:
            node.id = names.setdefault(node.id, f"v{len(names)}")
    return ast.unparse(tree)


def ordered(node):
    """The nodes from left to right."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from ordered(child)


def copied(seen, known, exercise):
    """Where the solution's lines stand: {line: place}, if that is more than half of them.

    seen: {line: place} of all code above.  known: lines of the exercises before this one, which the
    learner has written already.
    """
    new = exercise.lines - known
    found = {line: seen[line] for line in new if line in seen}
    return found if 2 * len(found) > len(new) else {}
