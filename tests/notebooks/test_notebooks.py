"""Every notebook keeps every rule; every rule can fail; refresh.py does what it says."""

import json
import re
from itertools import pairwise

import nbformat
import notebook_rules
import outline
import perturb
import pytest
import refresh
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import RULES

NOTEBOOKS = sorted(refresh.NOTEBOOKS.glob("*.ipynb"))
PNG = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 640x480 with 1 Axes>"}
ALT = "A line that rises from 0 to 1 in ten steps."
FIGURE = {"text/html": f'<img alt="{ALT}" src="x">', "text/plain": ALT}
VIEW = {refresh.WIDGET_VIEW: {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}}


def names(rule):
    return rule.__name__


# --- the notebooks ------------------------------------------------------------------------------


def test_there_are_notebooks():
    assert NOTEBOOKS, "no notebooks/*.ipynb: the tests below have nothing to look at"
    for path in NOTEBOOKS:
        assert re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", path.name), path.name


@pytest.mark.parametrize("rule", RULES, ids=names)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rule(path, rule):
    problems = list(rule(refresh.read(path), path.name))
    assert not problems, "\n".join([path.name, *problems])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_as_refresh_stores_it(path):
    assert refresh.check(path), f"run: python tests/notebooks/refresh.py notebooks/{path.name}"


def row_of(path):
    """What the README's map must say of a notebook: title, file, minutes (reading + exercises)."""
    nb = refresh.read(path)
    title = nb.cells[0].source.splitlines()[0].removeprefix("# ").replace(" · ", " ").split(":")[0]
    reading, exercises = outline.minutes(nb)
    return title, path.name, f"{reading:.0f} + {exercises}" if exercises else f"{reading:.0f}"


def test_readme_maps_the_notebooks_that_exist(root):
    row = r"^\| \[(.*?)\]\(notebooks/([\w.]+\.ipynb)\) \| (.*?) \|"
    rows = re.findall(row, (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [row_of(path) for path in NOTEBOOKS]


def test_the_site_has_every_notebook_in_order_and_the_guide(root):
    contents = (root / "notebooks/_toc.yml").read_text("utf-8")
    named = re.findall(r"(?:root|file): (\S+)", contents)
    assert named == [*(path.stem for path in NOTEBOOKS), "teaching_guide"]


def test_links_between_notebooks_lead_somewhere():
    for path in NOTEBOOKS:
        for cell in notebook_rules.markdown_cells(refresh.read(path)):
            for target in re.findall(r"\]\((?!https?:|#|attachment:)([^)#]+)", cell.source):
                assert (path.parent / target).exists(), f"{path.name}, {cell.id}: {target}"


@pytest.mark.parametrize(
    ("path", "following"), list(pairwise(NOTEBOOKS)), ids=lambda path: path.stem
)
def test_each_notebook_leads_to_the_next(path, following):
    title = refresh.read(following).cells[0].source.splitlines()[0].lstrip("# ").split(":")[0]
    last = refresh.read(path).cells[-1].source.splitlines()[-1]
    assert last == f"Next: [{title}]({following.name})"


# --- every rule can fail ------------------------------------------------------------------------


def good():
    """A small notebook that keeps every rule."""
    recall = "\n\n".join(
        f"{k}. What is {k}?\n<details><summary>Answer</summary>\n\nIt is {k}.</details>"
        for k in range(1, 6)
    )
    markdown, code = new_markdown_cell, new_code_cell
    nb = new_notebook(
        cells=[
            markdown(
                "# 02 · Forward\n\n**What you will learn** a\n\n**Time**\n\n**You need** b",
                id="title",
            ),
            code("import bnlib\nbnlib.use_one_blas_thread()", id="setup", execution_count=1),
            markdown("**Predict.** Which is larger?", id="predict-which"),
            code("1 + 1", id="run-which", execution_count=2),
            markdown("<details><summary>Answer</summary>\n\nNone.</details>", id="answer-which"),
            markdown("## Equations\n\n$$ y = x $$", id="equation"),
            code("show()", id="check-equation", execution_count=3),
            markdown("*Figure 1.* See the line.", id="caption-line"),
            markdown("### Exercise 2.1 · standardise (10 min)", id="exercise-standardise"),
            code("def centre(x):\n    return ...", id="stub", execution_count=4),
            code("bnlib.exercises.centre.check(centre)", id="check", execution_count=5),
            markdown("## More", id="more"),
            code("film", id="show-film", execution_count=6),
            markdown("*Figure 2.* Move the slider.", id="caption-film"),
            markdown("## Summary\n\nShort." + " word" * 400, id="summary"),
            markdown(f"## Recall\n\n{recall}", id="recall"),
            markdown("## Going deeper\n\nA digression.", id="deeper"),
            markdown(
                "## Further reading\n\nsection 3 of https://arxiv.org/abs/1502.03167", id="reading"
            ),
        ]
    )
    cell(nb, "run-which").outputs = [
        new_output("execute_result", {"text/plain": "2"}, execution_count=2)
    ]
    cell(nb, "check-equation").outputs = [new_output("display_data", dict(FIGURE))]
    film = {"image/png": PNG["image/png"], "text/plain": "Step 3: 4 % are saturated."}
    cell(nb, "show-film").outputs = [new_output("display_data", film)]
    nb = refresh.normalise(nb)
    cell(nb, "run-which").metadata["tags"] = ["raises-exception"]
    cell(nb, "run-which").outputs = [
        new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
    ]
    return nb


def cell(nb, cell_id):
    return next(c for c in nb.cells if c.id == cell_id)


def remove(nb, cell_id):
    nb.cells.remove(cell(nb, cell_id))


def edit(cell_id, old, new):
    def change(nb):
        assert old in cell(nb, cell_id).source
        cell(nb, cell_id).source = cell(nb, cell_id).source.replace(old, new)

    return change


def put(cell_id, **fields):
    return lambda nb: cell(nb, cell_id).update(**fields)


def printed(cell_id, text, name="stdout"):
    return put(cell_id, outputs=[new_output("stream", name=name, text=text)])


def shown(cell_id, data):
    return put(cell_id, outputs=[new_output("display_data", data)])


def tag(cell_id, *tags):
    return lambda nb: cell(nb, cell_id).metadata.update(tags=list(tags))


def hide_source(cell):
    cell.metadata["jupyter"] = {"source_hidden": True}


def film(nb):
    return cell(nb, "show-film").outputs[0].data


BAD = [
    ("is_valid", put("title", outputs=[])),
    ("is_in_normal_form", lambda nb: nb.update(nbformat_minor=4)),
    ("is_in_normal_form", lambda nb: nb.metadata.language_info.update(version="3.11.7")),
    ("is_in_normal_form", lambda nb: nb.metadata.kernelspec.update(name="venv")),
    ("is_in_normal_form", lambda nb: cell(nb, "title").metadata.update(execution={"t": 1})),
    ("is_small", edit("title", "**Time**", "x" * 1_500_000 + "**Time**")),
    ("is_executed", put("check-equation", execution_count=None)),
    ("is_in_normal_form", put("check-equation", execution_count=7)),
    ("is_executed", put("check-equation", source="")),
    ("is_executed", lambda nb: [nb.cells.remove(c) for c in notebook_rules.code_cells(nb)]),
    ("has_no_errors", tag("run-which")),
    ("has_no_errors", put("run-which", outputs=[])),
    ("has_no_errors", printed("check", "Warning", "stderr")),
    ("has_skeleton", edit("title", "# 02", "# 03")),
    ("has_skeleton", edit("title", "·", "-")),
    ("has_skeleton", edit("title", "**You need**", "")),
    ("has_skeleton", edit("title", "**What you will learn**", "")),
    ("has_skeleton", lambda nb: remove(nb, "summary")),
    ("has_skeleton", lambda nb: remove(nb, "recall")),
    ("has_skeleton", lambda nb: nb.cells.insert(1, nb.cells.pop(14))),
    ("has_skeleton", lambda nb: remove(nb, "reading")),
    ("has_skeleton", edit("reading", "https://arxiv.org/abs/", "arXiv ")),
    ("is_one_sitting", edit("summary", "Short.", " word" * 36 * 80)),
    ("is_one_sitting", edit("exercise-standardise", "10 min", "55 min")),
    ("is_in_normal_form", edit("title", "10 min", "20 min")),
    ("is_in_normal_form", edit("summary", "Short.", " word" * 80)),
    ("is_in_normal_form", edit("title", "**Time**", "**Time** about")),
    ("has_skeleton", edit("title", "**Time**", "In **Time**")),
    ("has_brief_digressions", edit("deeper", "A digression.", " word" * 800)),
    ("has_recall", edit("recall", "It is 3.", "")),
    ("has_recall", edit("recall", "3. What is 3?", "")),
    ("has_recall", edit("recall", "<details><summary>Answer</summary>\n\nIt is 3.", "It is 3.")),
    ("has_recall", edit("recall", "## Recall", "## Questions")),
    (
        "has_few_numbered_exercises",
        put("more", source="\n".join(["### Exercise 2.2 · a (5 min)"] * 2)),
    ),
    (
        "has_few_numbered_exercises",
        put("more", source="\n".join(["### Short task 2.2 · a (5 min)"] * 2)),
    ),
    ("has_few_numbered_exercises", put("more", source="### Short task 2.2 · a (15 min)")),
    ("has_few_numbered_exercises", edit("exercise-standardise", "2.1", "3.1")),
    ("has_few_numbered_exercises", edit("exercise-standardise", "·", ":")),
    ("has_few_numbered_exercises", edit("exercise-standardise", " (10 min)", "")),
    ("has_few_numbered_exercises", edit("exercise-standardise", "###", "##")),
    ("has_stubs_and_checks", lambda nb: remove(nb, "check")),
    ("has_stubs_and_checks", lambda nb: remove(nb, "stub")),
    ("has_stubs_and_checks", lambda nb: nb.cells.insert(9, nb.cells.pop(11))),
    ("has_one_blas_thread", edit("setup", "bnlib.use", "# bnlib.use")),
    ("has_one_blas_thread", lambda nb: remove(nb, "setup")),
    ("has_one_blas_thread", lambda nb: hide_source(cell(nb, "setup"))),
    ("has_skeleton", edit("summary", "Short.", "# Another title")),
    ("is_in_normal_form", put("title", id="3f2a9c1e")),
    ("is_in_normal_form", put("title", id="b4f7a1c2-1d2e-4f5a-8b9c-0123456789ab")),
    ("is_in_normal_form", put("title", id="Title 1")),
    ("is_in_normal_form", put("title", id="summary")),
    ("has_known_tags", tag("check-equation", "nbval-skip")),
    ("has_nothing_forbidden", edit("check-equation", "show()", "# NBVAL_IGNORE_OUTPUT\nshow()")),
    ("has_captions", lambda nb: remove(nb, "caption-line")),
    ("has_captions", edit("caption-film", "Figure 2.", "Figure 3.")),
    ("has_captions", edit("caption-film", "*Figure 2.*", "Figure 2.")),
    ("has_alt_text", shown("run-which", {"text/html": '<img src="x">'})),
    ("has_alt_text", shown("run-which", {"text/html": '<img alt="A plot.">'})),
    ("has_alt_text", shown("run-which", dict(FIGURE))),
    ("has_nothing_forbidden", put("run-which", source='ax.text(0, 0, "LN", color=COLORS["LN"])')),
    ("has_nothing_forbidden", edit("summary", "Short.", "![](picture.png)")),
    ("has_alt_text", shown("run-which", dict(PNG))),
    ("has_checked_equations", edit("summary", "Short.", "$$ y = x $$")),
    ("has_alt_text", shown("run-which", VIEW | {"text/plain": "A."})),
    ("has_alt_text", lambda nb: film(nb).update({"text/plain": "Three words here."})),
    ("has_alt_text", lambda nb: film(nb).update({"text/plain": "VBox(children=(Box(),))."})),
    ("has_alt_text", shown("run-which", {"text/plain": "<Axes: >"})),
    ("has_predictions", edit("predict-which", "**Predict.**", "Predict.")),
    ("has_predictions", put("summary", source="**Predict.** What now?")),
    ("has_predictions", lambda nb: remove(nb, "answer-which")),
    ("has_predictions", put("answer-which", source="The second. <details>Why</details>")),
    ("has_predictions", put("answer-which", source="*Figure 1.* The second is larger.")),
    ("has_predictions", edit("predict-which", "larger?", "larger? <details>None.</details>")),
    ("is_in_normal_form", lambda nb: cell(nb, "run-which").metadata.pop("jupyter")),
    ("has_closed_folds", printed("run-which", "95 % of them\n")),
    ("has_closed_folds", shown("run-which", {"text/html": "<b>yes</b>", "text/plain": "yes"})),
    ("has_short_cells", put("check-equation", source="\n".join(["show()"] * 21))),
    ("has_nothing_forbidden", printed("check", "as the formula: True\n")),
    ("has_nothing_forbidden", printed("check", "3\nFalse\n")),
    ("has_nothing_forbidden", shown("check", {"text/plain": "[ True False]"})),
    ("has_nothing_forbidden", printed("run-which", "/home/ann/x.py")),
    ("has_nothing_forbidden", printed("run-which", "at 0x7f00aa11bb22")),
    ("has_nothing_forbidden", edit("summary", "Short.", "see /root/x")),
]


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_a_good_notebook_passes(rule):
    assert not list(rule(good(), "02_forward.ipynb"))


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{k}-{r}" for k, (r, _) in enumerate(BAD)])
def test_a_bad_notebook_fails(rule, change):
    nb = good()
    change(nb)
    assert list(getattr(notebook_rules, rule)(nb, "02_forward.ipynb")), "the rule did not notice"


def test_what_the_rules_leave_alone():
    nb = good()
    hide_source(cell(nb, "check-equation"))
    cell(nb, "check-equation").source = "\n".join(["show()"] * 21)
    assert not list(notebook_rules.has_short_cells(nb, "02_forward.ipynb"))
    for text in ("backward(dy, overwrite=True)\n", "True story: 3 of 4\n"):
        cell(nb, "check").outputs = [new_output("stream", name="stdout", text=text)]
        assert not list(notebook_rules.has_nothing_forbidden(nb, "02_forward.ipynb"))
    remove(nb, "recall")
    for rule in (notebook_rules.has_recall, notebook_rules.has_skeleton):
        assert list(rule(nb, "02_forward.ipynb"))
    cell(nb, "title").source = cell(nb, "title").source.replace("# 02", "# 00")
    for rule in (notebook_rules.has_recall, notebook_rules.has_skeleton):
        assert not list(rule(nb, "00_start_here.ipynb"))


def test_every_rule_has_a_bad_notebook():
    assert {rule.__name__ for rule in RULES} == {name for name, _ in BAD}


# --- outline.py ---------------------------------------------------------------------------------


def test_minutes_are_words_and_cells_of_what_is_counted():
    prose = "one $\\alpha + \\beta$ <b>two</b> three"  # three words
    nb = new_notebook(
        cells=[
            new_markdown_cell(f"# 02 · T\n\n{prose}"),  # and two
            new_code_cell("1"),
            new_code_cell(" "),
            new_markdown_cell(f"## A\n\n### Exercise 2.1 · b (25 min)\n\n{prose}"),
            new_code_cell("2"),
            new_markdown_cell("## Recall\n\n" + "word " * 99 + "\n\n## Last\n\nword"),
            new_markdown_cell("## Going deeper\n\n### Exercise 2.2 · c (9 min)\n\nword"),
            new_code_cell("3"),
        ]
    )
    assert [section.title for section in outline.sections(nb)] == [
        *("", "A", "Recall", "Last", "Going deeper")
    ]
    words = (3 + 2) + (1 + 6 + 3) + (1 + 1)
    assert outline.minutes(nb) == (pytest.approx(words / 80 + 2 * 1.2), 25)
    assert "Going deeper   not counted" in outline.outline(nb, "02_t.ipynb")
    assert "Exercise 2.1 · b (25 min)" in outline.outline(nb, "02_t.ipynb")


def test_refresh_states_the_time_and_only_once():
    nb = good()
    said = outline.time_line(*outline.minutes(nb))
    for old in (said, "**Time** about 99 minutes, or so, of which some for the exercises"):
        cell(nb, "title").source = cell(nb, "title").source.replace(said, old)
        cell(refresh.normalise(nb), "title").source.splitlines().index(said)
    assert re.fullmatch(r"\*\*Time\*\* \d+ min reading and running, 10 min exercises", said)
    assert outline.time_line(15.2, 0) == "**Time** 15 min reading and running"


# --- refresh.py ---------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """Store a notebook of these code cells with stale outputs; give its path."""

    def store(*sources, **metadata):
        stale = new_output("stream", name="stdout", text="stale\n")
        cells = [new_code_cell(s, id=f"cell-{k}", outputs=[stale]) for k, s in enumerate(sources)]
        path = tmp_path / "00_test.ipynb"
        nb = new_notebook(cells=cells, metadata={"signature": "x", **metadata})
        nbformat.write(nb, path, version=nbformat.NO_CONVERT)
        return path

    return store


def test_refresh_executes_from_nothing_and_normalises(stored):
    path = stored(
        "import sys, time\nfor k in range(3):\n    print(k); sys.stdout.flush(); time.sleep(0.05)",
        "1 / 0",
        "import ipywidgets\nipywidgets.IntSlider()",
    )
    nb = refresh.read(path)
    nb.cells[1].metadata["tags"] = ["raises-exception"]
    nb.cells[2].id = "3f2a9c1e"
    path.write_text(refresh.text_of(nb))
    assert not refresh.check(path)
    assert refresh.main([str(path)]) == 0
    nb = refresh.read(path)
    assert [c.execution_count for c in nb.cells] == [1, 2, 3]
    assert [o.text for o in nb.cells[0].outputs] == ["0\n1\n2\n"]
    assert nb.cells[1].outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert list(nb.cells[2].outputs[0].data) == ["text/plain"], "no view of what is not stored"
    assert [c.id for c in nb.cells] == ["cell-0", "cell-1", "code-start"]
    assert nb.metadata == {
        "kernelspec": refresh.KERNELSPEC,
        "language_info": refresh.LANGUAGE_INFO,
    }
    assert path.read_text().endswith("}\n")
    assert refresh.main(["--check", str(path)]) == 0
    before = path.read_bytes()
    assert refresh.main([str(path)]) == 0
    assert path.read_bytes() == before, "refreshing twice must give the same bytes"
    assert [p.name for p in path.parent.iterdir()] == [path.name], "a temporary file was left"


def folded(nb):
    return [c.id for c in nb.cells if c.metadata.get("jupyter", {}).get("outputs_hidden")]


def test_answers_to_predictions_are_folded_and_nothing_else():
    nb = good()
    at = nb.cells.index(cell(nb, "answer-which"))
    nb.cells.insert(at, new_code_cell("plot()", id="plot-which"))
    nb.cells.insert(at + 1, new_markdown_cell("*Figure 1.* One dot a unit.", id="caption-which"))
    cell(nb, "check").metadata["jupyter"] = {"outputs_hidden": True, "source_hidden": True}
    made = refresh.normalise(nb)
    assert folded(made) == ["run-which", "plot-which"]
    assert cell(made, "check").metadata["jupyter"] == {"source_hidden": True}
    remove(nb, "answer-which")
    assert folded(refresh.normalise(nb)) == ["run-which", "plot-which"], "up to the next text"
    cell(nb, "predict-which").source = "Which is larger?"
    assert folded(refresh.normalise(nb)) == []


def test_perturb_tells_an_output_that_depends_on_rounding(stored, capfd):
    weights = "from bnlib import mlp\nw = mlp([2, 1]).params['0.weight'][0, 0]\n"
    path = stored(weights + "print(f'{w:.3f}')", "print(repr(w))")
    assert refresh.main([str(path)]) == 0
    assert perturb.main([str(path), "--times", "1"]) == 1
    said = capfd.readouterr().out
    assert "Cell outputs differ" in said and "1 failed, 1 passed" in said, said


@pytest.mark.parametrize(
    ("source", "reason"),
    [("raise ValueError('broken on purpose')", "broken on purpose"), ("while True: pass", "1 s")],
)
def test_a_failing_or_endless_notebook_is_left_as_it_was(stored, capfd, source, reason):
    path = stored("print(1)", source)
    before = path.read_bytes()
    assert refresh.main([str(path), "--timeout", "1"]) == 1
    assert path.read_bytes() == before
    said = capfd.readouterr().err
    assert "cell-1" in said and reason in said
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_crash_while_writing_loses_nothing(stored, monkeypatch):
    path = stored("1")
    before = path.read_bytes()
    monkeypatch.setattr(refresh.os, "replace", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        refresh.write(path, "half of it")
    assert path.read_bytes() == before


def test_missing_ids_are_made_from_the_words(tmp_path):
    path = tmp_path / "00_test.ipynb"
    nb = new_notebook(
        cells=[
            new_markdown_cell("# 00 · Start here"),
            new_code_cell("1"),
            new_code_cell("2"),
            new_markdown_cell("*Figure 1.* What to see in it, at length."),
        ]
    )
    for c in nb.cells:
        del c["id"]
    path.write_text(json.dumps(nb))
    made = [c.id for c in refresh.normalise(refresh.read(path)).cells]
    assert made == ["start-here", "code-start-here", "code-start-here-2", "figure-what-to-see-in"]
