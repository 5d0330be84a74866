"""The rules a notebook keeps: each is_... and has_... yields what is wrong, in words.

`rule(nb, name)` takes the notebook as read by `refresh.read` and its file name. CONTRIBUTING.md
explains the rules to an author; test_notebooks.py proves that each one can fail.
"""

import re
from pathlib import Path

import nbformat
import outline
from refresh import FIGURE, WIDGET_VIEW, normalise, predictions, text_of

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 1_500_000
# Absolute paths of somebody's machine, temporary files of a kernel, addresses of objects.
PRIVATE = re.compile(
    r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work|tmp|opt|usr|var|private)/[\w.]"
    r"|[A-Z]:\\\\?Users|site-packages|ipykernel_\d+|\bat 0x[0-9a-f]{6,}"
)
LEARN = ("**What you will learn**", "**Time**", "**You need**")
# A sitting, in minutes, and what fits the screen of a projector, in lines.
MAX_READING, MAX_SITTING, MAX_LINES = 36, 60, 20
MAX_EXERCISES, MAX_SHORT_TASKS, MAX_SHORT_MINUTES = 2, 1, 10
RECALL_QUESTIONS = 5
MIN_ALT_WORDS = 8
# The sections at the end, in this order; the notebook that holds no exercise needs no recall.
ENDING = ("Summary", "Recall", "Going deeper", "Further reading")
WITHOUT_RECALL = ("00",)
WIDGET = r"<?(VBox|HBox|Box|Stack|Output|Axes|\w*Slider|LiveFigure|Film)\b"
# What must not stand somewhere: where, the pattern, and what to do.
FORBIDDEN = [
    ("anywhere", PRIVATE, "a private path or an address"),
    ("code", re.compile(r"#\s*(NBVAL_|PYTEST_VALIDATE)"), "a comment for nbval; use a tag"),
    (
        "code",
        re.compile(r"\b(text|annotate|set_title|set_color)\(.*color=(\w+\.)?COLORS\["),
        "text in a colour for lines, which has too little contrast: take figures.INK",
    ),
    ("prose", re.compile(r"!\[\]\("), "a picture without alt text"),
    (  # A line that a student is to believe rather than see: "... : True", or an array of them.
        "output",
        re.compile(r"(?:^|[\s:\[,])(?:True|False)[\s\],]*$", re.MULTILINE),
        "show a picture or a number, assert in silence",
    ),
]


def allowed_tags():
    """The tags of the table in CONTRIBUTING.md: `tag` in the first column, its reason after."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([\w/-]+)` \| \S", text, re.MULTILINE))


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def markdown_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def visible_code(nb):
    """The code that a reader sees: not what stands folded."""
    return [
        cell for cell in code_cells(nb) if not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]


def bundles(cell):
    """The data of each output that is shown: {mime type: content}."""
    return [output.data for output in cell.get("outputs", []) if "data" in output]


def headings(nb):
    """(level, text, cell) of every heading outside code blocks."""
    for cell in markdown_cells(nb):
        source = outline.without_code_blocks(cell.source)
        for marks, text in re.findall(r"^(#+) (.*)$", source, re.MULTILINE):
            yield len(marks), text.strip(), cell


def is_valid(nb, name):
    try:
        nbformat.validate(nb)
    except nbformat.ValidationError as error:
        yield f"not nbformat 4.5: {error.message}"


def is_in_normal_form(nb, name):
    """Kernel, ids, counts, times, folded answers, the header's minutes: see refresh.py."""
    if text_of(nb) != text_of(normalise(nb)):
        yield "not as refresh.py stores it"


def is_small(nb, name):
    size = len(text_of(nb).encode())
    if size > MAX_BYTES:
        yield f"{size:,} bytes, at most {MAX_BYTES:,}"


def is_executed(nb, name):
    if not code_cells(nb):
        yield "no code"
    for cell in nb.cells:
        if cell.cell_type == "code" and (cell.execution_count is None or not cell.source.strip()):
            yield f"{cell.id}: not executed, or empty"


def has_no_errors(nb, name):
    for cell in code_cells(nb):
        tagged = "raises-exception" in cell.metadata.get("tags", [])
        errors = [output.ename for output in cell.outputs if output.output_type == "error"]
        if tagged != bool(errors):
            yield f"{cell.id}: raises {errors}, and tagged raises-exception: {tagged}"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"{cell.id}: writes to stderr"


def has_skeleton(nb, name):
    first = nb.cells[0] if nb.cells else None
    number = name[:2]
    if first is None or not re.match(rf"# {number} · \S", first.source):
        yield f'the first cell must start with "# {number} · Title"'
    else:
        for words in LEARN:
            if f"\n{words}" not in first.source:
                yield f"the first cell lacks a line that starts with {words}"
    found = list(headings(nb))
    if [level for level, _, _ in found].count(1) != 1:
        yield "expected one heading of level 1"
    sections = [(text, cell) for level, text, cell in found if level == 2]
    names = [text for text, _ in sections]
    ending = [n for n in ENDING if n in names or (n == "Recall" and number not in WITHOUT_RECALL)]
    if names[-len(ending) :] != ending or not {"Summary", "Further reading"} <= set(names):
        yield f"the last sections must be {', '.join(ENDING)} (Going deeper if any), got {names}"
    else:
        at = nb.cells.index(sections[-1][1])
        text = "\n".join(cell.source for cell in nb.cells[at:])
        if "https://arxiv.org/abs/" not in text:
            yield "Further reading names no paper with https://arxiv.org/abs/..."


def is_one_sitting(nb, name):
    reading, exercises = outline.minutes(nb)
    if reading > MAX_READING:
        yield f"{reading:.1f} minutes of reading, at most {MAX_READING}: see outline.py"
    if reading + exercises > MAX_SITTING:
        yield f"{reading:.1f} + {exercises} minutes, at most {MAX_SITTING}: see outline.py"


def has_brief_digressions(nb, name):
    deeper = sum(s.reading for s in outline.sections(nb) if s.title == "Going deeper")
    reading, _ = outline.minutes(nb)
    if deeper > (reading + deeper) / 3:
        yield f"Going deeper takes {deeper:.1f} of {reading + deeper:.1f} minutes, at most a third"


def has_recall(nb, name):
    """Five questions, each with an answer to unfold."""
    if name[:2] in WITHOUT_RECALL:
        return
    pieces = re.split(r"<details>(.*?)</details>", section_text(nb, "Recall"), flags=re.DOTALL)
    questions, answers = pieces[:-1:2], pieces[1::2]
    if len(answers) != RECALL_QUESTIONS:
        yield (
            f"Recall holds {len(answers)} folded answers (<details>...</details>), "
            f"expected {RECALL_QUESTIONS}"
        )
    for question, answer in zip(questions, answers, strict=True):
        if len(question.split()) < 3:
            yield f"Recall: no question before the answer {answer[:60]!r}"
        if not re.search(r"<summary>.*?</summary>\s*[^\s<]", answer, re.DOTALL):
            yield f"Recall: a folded answer without <summary> or without text: {answer[:60]!r}"


def section_text(nb, title):
    """The prose of the section of that title."""
    text = "\n".join(cell.source for cell in markdown_cells(nb))
    found = re.search(rf"^## {re.escape(title)}\s*$(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1] if found else ""


def has_few_numbered_exercises(nb, name):
    number = name[:2].lstrip("0") or "0"
    for level, text, _ in headings(nb):
        task = outline.TASK.match(f"{'#' * level} {text}")
        if re.match(r"(Exercise|Short task)\b", text) and not (
            task and task["minutes"] and re.match(rf"{number}\.\d", task["number"])
        ):
            yield f'"{text}": expected "### Exercise {number}.k · name (25 min)", or Short task'
    tasks = [task for s in outline.sections(nb) if s.counted for task in s.tasks]
    kinds = [task["kind"] for task in tasks]
    for kind, most in (("Exercise", MAX_EXERCISES), ("Short task", MAX_SHORT_TASKS)):
        if kinds.count(kind) > most:
            yield f'{kinds.count(kind)} headings "### {kind}", at most {most}'
    for task in tasks:
        if task["kind"] == "Short task" and int(task["minutes"] or 0) > MAX_SHORT_MINUTES:
            yield f'"{task[0]}": a short task takes at most {MAX_SHORT_MINUTES} minutes'


def has_stubs_and_checks(nb, name):
    """Below each exercise's heading, before the next heading: what to fill in, and its check."""
    tasks = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for _, text, _ in headings(nbformat.from_dict({"cells": [cell]})):
                is_task = re.match(r"(Exercise|Short task)\b", text)
                tasks.append((text, []) if is_task else None)
        elif tasks and tasks[-1]:
            tasks[-1][1].append(cell.source)
    for text, sources in filter(None, tasks):
        defined = re.findall(r"^(?:def|class) (\w+)", "\n".join(sources), re.MULTILINE)
        checked = re.findall(r"(?:exercises\.\w+|museum)\.check\((\w+)\)", "\n".join(sources))
        if not checked:
            yield f'"{text}": no cell with exercises.<name>.check(<name>) before the next heading'
        elif not set(checked) <= set(defined):
            yield f'"{text}": checks {checked}, and the cells between define {defined}'


def has_one_blas_thread(nb, name):
    cells = code_cells(nb)
    first = cells[0] if cells and cells[0] in visible_code(nb) else None
    if first is None or not re.search(r"^(bnlib\.)?use_one_blas_thread\(\)", first.source, re.M):
        yield "the first code cell must be visible, with the line bnlib.use_one_blas_thread()"


def has_known_tags(nb, name):
    for cell in nb.cells:
        for tag in set(cell.metadata.get("tags", [])) - allowed_tags():
            yield f"{cell.id}: tag {tag!r} has no reason in CONTRIBUTING.md"


def has_captions(nb, name):
    numbers = []
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if not any("image/png" in b or "<img" in b.get("text/html", "") for b in bundles(cell)):
            continue
        is_text = after is not None and after.cell_type == "markdown"
        caption = FIGURE.match(after.source) if is_text else None
        if not caption:
            yield f"{cell.id}: a figure, and the next cell is no caption (*Figure k.* ...)"
        else:
            numbers.append(int(caption.group(1)))
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"figures numbered {numbers}"


def has_alt_text(nb, name):
    """In words: what the picture shows, not what kind of picture it is."""
    seen = set()
    for cell in nb.cells:
        for bundle in [{"text/html": cell.source}, *bundles(cell)]:
            for image in re.findall(r"<img\b[^>]*>", bundle.get("text/html", "")):
                alt = re.search(r"""\balt=(["'])(.*?)\1""", image)
                alt = alt[2] if alt else ""
                if len(alt.split()) < MIN_ALT_WORDS or not alt.endswith(".") or alt in seen:
                    yield f"{cell.id}: alt text {alt!r}: expected a sentence of what it shows"
                seen.add(alt)
            text = bundle.get("text/plain", "")
            if (
                ("image/png" in bundle and (len(text.split()) < 4 or not text.endswith(".")))
                or re.match(WIDGET, text)
                or (WIDGET_VIEW in bundle and "image/png" not in bundle)
            ):
                yield (
                    f"{cell.id}: shows {text[:60]!r} where there is no kernel: no sentence, or no "
                    "picture; end a cell with bnlib.figures.show(fig, ...)"
                )


def has_checked_equations(nb, name):
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if cell.cell_type == "markdown" and "$$" in cell.source:
            if after is None or after.cell_type != "code":
                yield f"{cell.id}: a displayed equation, and no code cell after it checks it"


def has_predictions(nb, name):
    found = list(predictions(nb))
    for prediction, _, answer in found:
        at = nb.cells.index(prediction)
        if at + 1 == len(nb.cells) or nb.cells[at + 1].cell_type != "code":
            yield f"{prediction.id}: a prediction, and no run right after it"
        elif answer is None:
            yield (
                f"{prediction.id}: after the run (and captions) must come the folded answer, in "
                "<details>, before anything else that can be read"
            )
        if "<details" in prediction.source:
            yield f"{prediction.id}: the answer stands before the run"
    if not found:
        yield 'no prediction: a cell that starts with "**Predict.**"'


# A measured number: 0.5, 3,000, 9 of 30, = 6, 95 %. In what heads a table ("layer 1 2 3") is none.
MEASURED = re.compile(r"\d[.,]\d|\d of|[=:] *-?\d|\d %")


def has_closed_folds(nb, name):
    """JupyterLab shows the first line of a folded output that is not empty, HTML as it is."""
    for cell in code_cells(nb):
        if not cell.metadata.get("jupyter", {}).get("outputs_hidden") or not cell.outputs:
            continue
        first = cell.outputs[0]
        data = first.get("data", {})
        shown = first.get("text") or data.get("text/html") or data.get("text/plain", "")
        line = next((line for line in shown.split("\n") if line), "")
        if MEASURED.search(line) or line.startswith("<"):
            yield f"{cell.id}: folded, it still shows {line[:60]!r}; print a heading first"


def has_short_cells(nb, name):
    for cell in visible_code(nb):
        lines = len(cell.source.strip().splitlines())
        if lines > MAX_LINES:
            yield f"{cell.id}: {lines} visible lines, at most {MAX_LINES}; fold it or cut it"


def has_nothing_forbidden(nb, name):
    """The table above."""
    for cell in nb.cells:
        texts = [("code" if cell.cell_type == "code" else "prose", cell.source)]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts.append(("output", output.get("text", "") or data.get("text/plain", "")))
            texts += [("html", data.get("text/html", ""))]
            texts += [("error", line) for line in output.get("traceback", [])]
        for where, text in texts:
            text = re.sub(r"data:image/[^\"')]*", "", text)
            for place, pattern, remedy in FORBIDDEN:
                if place in (where, "anywhere") and (found := pattern.search(text)):
                    line = text[: found.end()].splitlines()[-1]
                    yield f"{cell.id}: {line.strip()!r}: {remedy}"


RULES = [f for name, f in list(globals().items()) if name.startswith(("is_", "has_"))]
