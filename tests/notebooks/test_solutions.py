"""A student who solves everything: each solution, pasted into its stub, passes the check below it.

Only what these two cells need is run, not the whole notebook: the statements above them that give
a value to a name they look up, and in turn the names that those look up.
"""

import ast
import re
import symtable

import pytest
import refresh
from nbformat.v4 import new_code_cell, new_notebook

import bnlib.exercises

NOTEBOOKS = sorted(refresh.NOTEBOOKS.glob("*.ipynb"))
STUBS = {ex.stub.strip(): name for name, ex in bnlib.exercises.available.items()}


def exercises_of(nb):
    """name -> the position of its stub's cell."""
    positions = {STUBS.get(cell.source.strip()): at for at, cell in enumerate(nb.cells)}
    return {name: at for name, at in positions.items() if name}


def needs(source):
    """The global names that the code looks up."""

    def look(table):
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
                yield symbol.get_name()
        for inner in table.get_children():
            yield from look(inner)

    return set(look(symtable.symtable(source, "<cell>", "exec")))


def makes(source):
    """The global names that the code gives a value."""
    table = symtable.symtable(source, "<cell>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def needed_above(cells, source):
    """The statements of the code cells that the source needs, in their order."""
    statements = [
        ast.unparse(node)
        for cell in cells
        if cell.cell_type == "code"
        for node in ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)).body
    ]
    wanted, found = needs(source), []
    for statement in reversed(statements):
        if makes(statement) & wanted:
            wanted |= needs(statement)
            found.append(statement)
    return found[::-1]


def checked(nb, name, source):
    """What the notebook's own check of the exercise returns, with source in its stub's cell."""
    at = exercises_of(nb)[name]
    check = re.compile(rf"(?:\w+\.)*exercises\.{name}\.check\({name}\)")
    below = [cell.source for cell in nb.cells[at:] if cell.cell_type == "code"]
    called = next((found[0] for found in map(check.search, below) if found), None)
    assert called, f"nothing below its stub checks {name}"
    space = {}
    for statement in [*needed_above(nb.cells[:at], f"{source}\n{called}"), source]:
        exec(statement, space)
    return eval(called, space)


def all_exercises():
    return [(path, name) for path in NOTEBOOKS for name in exercises_of(refresh.read(path))]


def test_every_exercise_is_in_one_notebook():
    assert sorted(name for _, name in all_exercises()) == sorted(bnlib.exercises.available)


@pytest.mark.parametrize(
    ("path", "name"), all_exercises(), ids=lambda case: getattr(case, "stem", case)
)
def test_the_solution_passes_the_check_below_its_stub(path, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no my_bn.py of the developer's lies
    result = checked(refresh.read(path), name, str(bnlib.exercises.available[name].solution()))
    assert result.passed, f"{path.name}: {result}"


CHECK = "bnlib.exercises.bn_forward.check(bn_forward)"


def notebook(*cells):
    stub = bnlib.exercises.bn_forward.stub
    return new_notebook(cells=[new_code_cell(c) for c in (*cells, stub, CHECK)])


def test_a_wrong_solution_or_a_missing_name_is_found():
    source = str(bnlib.exercises.bn_forward.solution())
    imports = "import numpy as np\nimport bnlib.exercises"
    assert checked(notebook(imports), "bn_forward", source).passed
    wrong = source.replace("var + eps", "var - eps")
    assert not checked(notebook(imports), "bn_forward", wrong).passed
    without_numpy = checked(notebook("import bnlib.exercises"), "bn_forward", source)
    assert "np" in str(without_numpy) and not without_numpy.passed
    with pytest.raises(AssertionError, match="nothing below"):
        checked(new_notebook(cells=notebook(imports).cells[:-1]), "bn_forward", source)


def test_only_what_is_needed_is_run():
    helper = "def root(a):\n    x = a  # its own x\n    return np.sqrt(x)"
    imports = "import numpy as np", "import bnlib.exercises"
    above = notebook(*imports, "x = 1 / 0", helper).cells[:-2]
    source = str(bnlib.exercises.bn_forward.solution()).replace("np.sqrt", "root")
    assert len(needed_above(above, f"{source}\n{CHECK}")) == 3
