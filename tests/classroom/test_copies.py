"""The student's edition holds no solution and its checks work; the instructor's passes them all."""

import re

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from solved_above import Exercise, copied, snippets
from test_solutions import checked

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
        assert [c.source for c in nb.cells] == [c.source for c in original.cells], "none to remove"
        assert "widgets" not in nb.metadata
        kept = 0
        for cell, stored in zip(code_cells(nb), code_cells(original), strict=True):
            answers = stored.metadata.get("jupyter", {}).get("outputs_hidden")
            if (
                answers
                or CHECK.search(cell.source)
                or (name[:2] == "11" and LEDGER.search(cell.source))
            ):
                assert not cell.outputs and cell.execution_count is None, f"{name} {cell.id}"
            elif "exercises" not in cell.source:
                assert cell.outputs == stored.outputs
                kept += len(cell.outputs)
            assert "outputs_hidden" not in cell.metadata.get("jupyter", {})
        assert kept, f"{name}: nothing to see"


def test_the_students_edition_holds_no_line_of_a_solution(written):
    lines = {}
    for name, nb in written[0].items():
        for cell in code_cells(nb):  # what is folded can be unfolded
            cell.metadata.get("jupyter", {}).pop("source_hidden", None)
        lines |= {line: s.where for _, s in snippets(nb, name) for line in s.lines}
    for name, exercise in available.items():
        found = copied(lines, set(), Exercise(name, exercise))
        assert not found, f"{name}: {found}"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("03_forward.ipynb", "standardize"),
        ("04_backward.ipynb", "gradient_check"),
        ("08_training.ipynb", "BatchNormLayer"),
    ],
)
def test_the_students_checks_work(written, file, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nb, exercise = written[0][file], available[name]
    assert checked(nb, name, exercise.stub).outcome == "not attempted"
    assert checked(nb, name, str(exercise.solution())).outcome == "correct"


def test_the_instructors_edition_has_every_solution_open_answers_and_notes(written, root):
    sources = [cell.source.strip() for nb in written[1].values() for cell in nb.cells]
    for exercise in available.values():
        assert exercise.stub.strip() not in sources
        assert sources.count(str(exercise.solution()).strip()) == 1, exercise.name
    for exhibit in museum.exhibits.values():
        assert exhibit.source.strip() not in sources
    assert not [s for s in sources if "<details>" in s]
    guide = (root / "notebooks" / "teaching_guide.md").read_text("utf-8")
    notes = copies.notes_of(guide)
    assert sum(map(len, notes.values())) > 100
    for name, nb in written[1].items():
        for cell_id, text in notes[name[:2]].items():
            at = next(i for i, cell in enumerate(nb.cells) if cell.id == cell_id)
            assert nb.cells[at + 1].source == f"> **For you.** {text}"


@pytest.mark.parametrize(("file", "checks"), [("03_forward.ipynb", 3), ("13_in_practice.ipynb", 8)])
def test_the_instructors_edition_passes_its_checks(written, file, checks, tmp_path):
    nb = written[1][file]
    nbclient.NotebookClient(
        nb, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    said = [
        output.get("text", "") or output["data"]["text/plain"]
        for cell in code_cells(nb)
        if CHECK.search(cell.source)
        for output in cell.outputs
    ]
    assert len(said) == checks
    assert all(re.search("· Correct|is mended", text) for text in said), said


def test_solutions_in_a_notebook_are_taken_out_for_students():
    shown = [new_output("stream", text="standardize · Correct\n")]
    picture = [new_output("stream", text="a picture\n")]
    nb = new_notebook(
        cells=[
            new_markdown_cell("# T"),
            new_code_cell("bnlib.exercises.standardize.solution()", outputs=shown),
            new_code_cell("bnlib.exercises.standardize.check(standardize)", outputs=shown),
            new_code_cell("bnlib.exercises.report()", outputs=shown),
            new_code_cell("1", outputs=shown, metadata={"jupyter": {"outputs_hidden": True}}),
            new_code_cell("draw()", outputs=picture),
            new_markdown_cell(
                "A\n<details><summary>Solution</summary>\n\nx - 1\n\n</details>\n"
                "<details><summary>Answer</summary>\n\n3\n\n</details>"
            ),
        ]
    )
    before = nbformat.writes(nb)
    made = copies.student(nb)
    assert nbformat.writes(nb) == before
    assert [c.source for c in made.cells[:2]] == [
        "# T",
        "bnlib.exercises.standardize.check(standardize)",
    ]
    assert [len(c.outputs) for c in code_cells(made)] == [0, 0, 0, 1]
    assert "x - 1" not in made.cells[-1].source and "3" in made.cells[-1].source


def test_a_note_for_a_cell_that_is_gone_is_an_error():
    nb = new_notebook(cells=[new_markdown_cell("# T", id="title")])
    assert copies.instructor(nb, {"title": "Look."}).cells[2].source == "> **For you.** Look."
    with pytest.raises(ValueError, match=r"cells that are not there.*explorer"):
        copies.instructor(nb, {"explorer": "Look."})


def test_nothing_is_overwritten_and_the_notebooks_must_be_there(tmp_path, capsys):
    (tmp_path / "student").mkdir()
    assert main(["copies", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
    assert main(["copies", str(tmp_path / "out"), "--notebooks", str(tmp_path)]) == 1
    assert "give their folder with --notebooks" in capsys.readouterr().err
