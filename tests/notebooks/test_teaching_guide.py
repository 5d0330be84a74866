"""The teaching guide keeps to the notebooks: their cells, predictions, sections and minutes."""

import re

import nbformat
import outline
import pytest
import refresh

GUIDE = outline.NOTEBOOKS / "teaching_guide.md"
# - `04 predict-nudge`: text        the instructor's edition shows the text at that cell
NOTE = re.compile(r"^- `(\d\d) ([a-z0-9-]+)`: (.+)$", re.MULTILINE)
# 3. `01 explorer` (8 min): text
STEP = re.compile(
    r"^\d+\. `(\d\d) ([a-z0-9-]+)` \((?:search: [^;]+; )?(\d+) min\): \S", re.MULTILINE
)
SEARCH = re.compile(r"`(\d\d) ([a-z0-9-]+)` \(search: `([^`]+)`; ")
NAMED = re.compile(r"`(\d\d) ([a-z0-9-]+)`")
ENDS = ("Summary", "Recall", "Going deeper", "Further reading")
BEFORE = "Before the first section"


@pytest.fixture(scope="module")
def guide():
    return GUIDE.read_text("utf-8")


@pytest.fixture(scope="module")
def notebooks():
    """number -> notebook"""
    found = sorted(outline.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    assert found
    return {path.name[:2]: nbformat.read(path, as_version=4) for path in found}


def parts(text, level):
    """title -> what stands below a heading of this level, up to the next one of it."""
    found = re.split(rf"^{'#' * level} (?!#)(.+)$", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def chapter(guide, number):
    """The guide's part about a notebook; empty if there is none."""
    return next((t for h, t in parts(guide, 2).items() if h.startswith(f"{number} · ")), "")


def test_every_cell_it_names_exists(guide, notebooks):
    named = NAMED.findall(guide)
    assert len(named) > 150
    ids = {(number, cell.id) for number, nb in notebooks.items() for cell in nb.cells}
    assert not [f"{n} {cell}" for n, cell in named if (n, cell) not in ids]


def test_notes_stand_in_their_chapter_once(guide, notebooks):
    notes = [(number, cell) for number, cell, _ in NOTE.findall(guide)]
    assert sorted(set(notes)) == sorted(notes)
    for number in notebooks:
        for other, cell, _ in NOTE.findall(chapter(guide, number)):
            assert other == number, f"`{other} {cell}` stands in the chapter of {number}"


def test_notes_stand_below_the_section_of_their_cell(guide, notebooks):
    for number, nb in notebooks.items():
        # A cell that holds a heading may end one section and start the next.
        places, at = {}, BEFORE
        for cell in nb.cells:
            found = re.findall("^## (.+)$", cell.source, re.M)
            places[cell.id] = {at, *found}
            at = found[-1] if found else at
        for heading, text in parts(chapter(guide, number), 3).items():
            title = re.sub(r" \([^()]*\)$", "", heading)
            wrong = [cell for _, cell, _ in NOTE.findall(text) if title not in places[cell]]
            assert not wrong, f"{number}, {title}: {wrong} belong to {[places[c] for c in wrong]}"


def test_every_prediction_has_answers_and_what_is_behind_them(guide, notebooks):
    notes = {(number, cell): text for number, cell, text in NOTE.findall(guide)}
    for number, nb in notebooks.items():
        for cell in (c.id for c in nb.cells if c.source.startswith(refresh.PREDICTION)):
            assert (number, cell) in notes, f"no note at the prediction {number} {cell}"
            before, marker, behind = notes[number, cell].partition("**Behind it:**")
            assert marker and len(before) > 4 and len(behind.split()) > 4, f"{number} {cell}"


def test_every_section_has_its_minutes_and_one_question(guide, notebooks):
    for number, nb in notebooks.items():
        found = {}
        for heading, text in parts(chapter(guide, number), 3).items():
            told = re.fullmatch(r"(.+) \((?:(\d+)(?: \+ (\d+))? min|not counted)\)", heading)
            assert told, f"{number}, {heading!r} expected to end with its minutes"
            found[told[1]] = told, text
        before, *sections = outline.sections(nb)
        at = next(i for i, c in enumerate(nb.cells) if re.search("^## ", c.source, re.M))
        if any(refresh.PREDICTION in c.source for c in nb.cells[:at]):
            before.title = BEFORE
            sections.insert(0, before)
        sections = [s for s in sections if s.title not in ENDS]
        assert [s.title for s in sections] == [t for t in found if t not in ENDS], number
        for section in sections:
            told, text = found[section.title]
            # Two minutes: a guide need not follow each edited sentence.
            assert abs(int(told[2]) - section.reading) <= 2, f"{number}, {told[0]}: minutes"
            assert int(told[3] or 0) == section.exercises, f"{number}, {told[0]}: exercises"
            assert text.count("**Ask.**") == 1, f"{number}, {told[0]}: one question"
            assert "?" in text.partition("**Ask.**")[2], f"{number}, {told[0]}: a question"


def test_what_to_search_for_finds_the_cell_first(guide, notebooks):
    found = SEARCH.findall(guide)
    assert len(found) == guide.count("(search: ")
    for number, cell, text in found:
        assert next(c.id for c in notebooks[number].cells if text in c.source) == cell, text


@pytest.mark.parametrize(("title", "minutes"), [("The lecture", 44), ("The lab", 90)])
def test_paths_fill_their_time(guide, title, minutes):  # six are left for what is no step
    steps = STEP.findall(parts(guide, 2)[title])
    assert len(steps) > 5
    assert sum(int(m) for _, _, m in steps) == minutes
