"""A student who solves everything: each notebook with its solutions filled in, run in memory."""

import re

import pytest
import refresh
from nbclient import NotebookClient

import bnlib.exercises

NOTEBOOKS = sorted(refresh.NOTEBOOKS.glob("*.ipynb"))
STUBS = {ex.stub.strip(): name for name, ex in bnlib.exercises.available.items()}


def exercises_of(nb):
    """name -> the cell of its stub."""
    cells = {STUBS.get(cell.source.strip()): cell for cell in nb.cells}
    return {name: cell for name, cell in cells.items() if name}


def plain_outputs(cell):
    return "".join(str(o.data.get("text/plain", "")) for o in cell.outputs if "data" in o)


WITH_EXERCISES = [path for path in NOTEBOOKS if exercises_of(refresh.read(path))]


def test_every_exercise_is_in_one_notebook():
    found = [name for path in NOTEBOOKS for name in exercises_of(refresh.read(path))]
    assert sorted(found) == sorted(bnlib.exercises.available)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_notebook_with_solutions_passes_every_check(path):
    nb = refresh.read(path)
    exercises = exercises_of(nb)
    for name, cell in exercises.items():
        cell.source = str(bnlib.exercises.available[name].solution())
    NotebookClient(
        nb, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    for name in exercises:
        check = re.compile(rf"exercises\.{name}\.check\({name}\)")
        outputs = [plain_outputs(c) for c in nb.cells if check.search(c.source)]
        assert outputs, f"{path.name} never checks {name}"
        assert all("Correct" in text for text in outputs), outputs
