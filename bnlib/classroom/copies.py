"""Two editions of the notebooks: the student's gives nothing away, the instructor's has it all."""

from __future__ import annotations

import copy
import inspect
import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

import bnlib
from bnlib import museum
from bnlib.exercises import available

BESIDE = Path(bnlib.__file__).parents[1] / "notebooks"
GUIDE = "teaching_guide.md"
# A note of the guide:  - `04 predict-nudge`: text
NOTE = re.compile(r"^- `(\d\d) ([a-z0-9-]+)`: (.+)$", re.MULTILINE)
# What such a cell shows is about the work of whoever ran it.
PERSONAL = re.compile(r"\bexercises\.(\w+\.(check|keep|hint)|library|report)\(|\bmuseum\.check\(")
# Where a reader sets verdicts beside the ledger's (11), the ledger's come with the run.
LEDGER = re.compile(r"\bshow\(\"|\bledger(\(\))?\[|\.beside\(")
NOTICE = """\
> **Instructor's edition.** Solutions are filled in, answers are open, and the teaching guide's
> notes stand below their cells. Not for students."""


def run(out: Path, source: Path) -> None:
    """Write both editions of all notebooks of the folder source.

    Raises SystemExit where there are none, and where an edition would be overwritten.
    """
    paths = sorted(source.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        sys.exit(f"no notebooks in {source}: give their folder with --notebooks")
    for edition in (out / "student", out / "instructor"):
        if edition.exists():
            sys.exit(
                f"{edition} is there already, and somebody may have worked in it: give another "
                "folder, or remove this one"
            )
    guide = source / GUIDE
    notes = notes_of(guide.read_text("utf-8")) if guide.exists() else {}
    for edition in (out / "student", out / "instructor"):
        edition.mkdir(parents=True)
    for path in paths:
        nb = nbformat.read(path, as_version=4)
        nbformat.write(student(nb), out / "student" / path.name)
        nbformat.write(instructor(nb, notes.get(path.name[:2], {})), out / "instructor" / path.name)
    if guide.exists():
        shutil.copy(guide, out / "instructor")
    else:
        print(f"no {GUIDE} in {source}: the instructor's edition is without its notes")
    print(f"{len(paths)} notebooks, twice: hand out {out / 'student'}, keep {out / 'instructor'}")


def student(nb):
    """The notebook without what gives an answer away; the argument is left alone.

    Outputs that the stored form folds, between a prediction and its answer, those of checks are
    gone, and in 11 the ledger's.
    """
    nb = copy.deepcopy(nb)
    asked = any(".beside(" in cell.source for cell in nb.cells)
    for cell in nb.cells:
        if cell.cell_type == "code":
            tells = _unfold(cell) or PERSONAL.search(cell.source)
            if tells or (asked and LEDGER.search(cell.source)):
                cell.outputs, cell.execution_count = [], None
    nb.metadata.pop("widgets", None)  # a film's frames, of which no output is left
    return nb


def instructor(nb, notes: dict[str, str]):
    """The notebook with solutions in its stubs, open answers and the guide's notes.

    notes: cell id -> text in Markdown.  The argument nb is left alone.
    Raises ValueError for a note whose cell is not there.
    """
    nb, answers = copy.deepcopy(nb), solutions()
    if missing := notes.keys() - {cell.id for cell in nb.cells}:
        raise ValueError(f"the guide has notes for cells that are not there: {sorted(missing)}")
    cells = []
    for cell in nb.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("<details>", "<details open>")
        elif cell.cell_type == "code":
            _unfold(cell)
            answer = answers.get(cell.source.strip())
            cell.source = answer or cell.source
            if answer or PERSONAL.search(cell.source):
                cell.outputs, cell.execution_count = [], None
        if cell.id in notes:
            text = f"> **For you.** {notes[cell.id]}"
            cells.append(new_markdown_cell(text, id=f"note-{cell.id}"[:64]))
    cells.insert(1, new_markdown_cell(NOTICE, id="instructors-edition"))
    nb.cells = cells
    return nb


def solutions() -> dict[str, str]:
    """What stands in a cell to be filled in -> what solves it: exercises, and the museum's bugs."""
    found = {ex.stub.strip(): str(ex.solution()).strip() for ex in available.values()}
    for exhibit in museum.exhibits.values():
        mended = inspect.getsource(exhibit.mended).strip()
        old = f"def {exhibit.mended.__name__}("
        found[exhibit.source.strip()] = mended.replace(old, f"def {exhibit.name}(", 1)
    return found


def notes_of(guide: str) -> dict[str, dict[str, str]]:
    """notebook number -> cell id -> note."""
    found = defaultdict(dict)
    for number, cell, text in NOTE.findall(guide):
        found[number][cell] = text
    return found


def _unfold(cell) -> bool:
    """Show the cell's outputs; was it folded?"""
    return cell.metadata.get("jupyter", {}).pop("outputs_hidden", False)
