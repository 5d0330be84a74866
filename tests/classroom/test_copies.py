"""The student's edition gives nothing away; the instructor's has solutions, answers and notes."""

import re

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from solved_above import Exercise, copied, snippets

from bnlib import museum
from bnlib.classroom import copies
from bnlib.classroom.__main__ import main
from bnlib.exercises import available

CHECK = re.compile(r"\bcheck\(")
LEDGER = re.compile(r"ledger\[|show\(\"|\.beside\(|ledger\(\)\[")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(student's, instructor's): file name -> notebook."""
    out = tmp_path_factory.mktemp("copies") / "out"
    assert main(["copies", str(out)]) == 0
    return [
        {p.name: nbformat.read(p, as_version=4) for p in sorted((out / edition).glob("*.ipynb"))}
        for edition in ("student", "instructor")
    ]


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def test_all_notebooks_are_there_twice_and_valid(written, root):
    names = sorted(path.name for path in (root / "notebooks").glob("*.ipynb"))
    for edition in written:
        assert sorted(edition) == names
        for nb in edition.values():
            nbformat.validate(nb)


def test_the_students_edition_gives_no_answer_away(written, root):
    for name, nb in written[0].items():
        original = nbformat.read(root / "notebooks" / name, as_version=4)
        assert [c.source for c in nb.cells] == [c.source for c in original.cells]
        kept = 0
        for cell, stored in zip(code_cells(nb), code_cells(original), strict=True):
            answers = stored.metadata.get("jupyter", {}).get("outputs_hidden")
            ledgers = name[:2] == "11" and LEDGER.search(cell.source)
            if answers or ledgers or CHECK.search(cell.source):
                assert not cell.outputs and cell.execution_count is None, f"{name} {cell.id}"
            elif "exercises" not in cell.source:
                assert cell.outputs == stored.outputs
                kept += len(cell.outputs)
            assert "outputs_hidden" not in cell.metadata.get("jupyter", {})
        assert kept, f"{name}: nothing to see"


def test_the_state_of_widgets_that_an_instructor_has_saved_is_not_handed_out():
    nb = new_notebook(metadata={"widgets": {"a film": "its frames"}})
    assert "widgets" in nb.metadata and "widgets" not in copies.student(nb).metadata


def test_the_students_edition_holds_no_line_of_a_solution(written):
    lines = {}
    for name, nb in written[0].items():
        assert not re.search(r"\.solution\(\)$", "\n".join(c.source for c in code_cells(nb)), re.M)
        for cell in code_cells(nb):  # what is folded can be unfolded
            cell.metadata.get("jupyter", {}).pop("source_hidden", None)
        lines |= {line: s.where for _, s in snippets(nb, name) for line in s.lines}
    for name, exercise in available.items():
        found = copied(lines, set(), Exercise(name, exercise))
        assert not found, f"{name}: {found}"


def test_the_instructors_edition_has_every_solution_open_answers_and_notes(written, root):
    cells = [cell for nb in written[1].values() for cell in nb.cells]
    sources = [cell.source.strip() for cell in cells]
    for exercise in available.values():
        assert exercise.stub.strip() not in sources
        assert sources.count(str(exercise.solution()).strip()) == 1, exercise.name
    for exhibit in museum.exhibits.values():
        mended = copies.solutions()[exhibit.source.strip()]
        assert exhibit.source.strip() not in sources and mended in sources
        exec(mended, space := dict(vars(museum)))
        assert "is mended" in str(museum.check(space[exhibit.name])), exhibit.name
    assert not [s for s in sources if "<details>" in s]
    assert not [c for c in cells if c.cell_type == "code" and CHECK.search(c.source) and c.outputs]
    notes = copies.notes_of((root / "notebooks" / "teaching_guide.md").read_text("utf-8"))
    assert sum(map(len, notes.values())) > 100
    for name, nb in written[1].items():
        for cell_id, text in notes[name[:2]].items():
            at = next(i for i, cell in enumerate(nb.cells) if cell.id == cell_id)
            assert nb.cells[at + 1].source == f"> **For you.** {text}"


def test_a_note_for_a_cell_that_is_gone_is_an_error():
    nb = new_notebook(cells=[new_markdown_cell("# T", id="title")])
    before = nbformat.writes(nb)
    assert copies.instructor(nb, {"title": "Look."}).cells[2].source == "> **For you.** Look."
    assert nbformat.writes(nb) == before
    with pytest.raises(ValueError, match=r"cells that are not there.*explorer"):
        copies.instructor(nb, {"explorer": "Look."})


def test_nothing_is_overwritten_and_the_notebooks_must_be_there(tmp_path):
    (tmp_path / "student").mkdir()
    with pytest.raises(SystemExit, match="is there already"):
        main(["copies", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
    with pytest.raises(SystemExit, match="give their folder with --notebooks"):
        main(["copies", str(tmp_path / "out"), "--notebooks", str(tmp_path)])
