"""The rules a notebook keeps: one function a rule, each yielding what is wrong, in words.

`rule(nb, name)` takes the notebook as read by `refresh.read` and its file name. CONTRIBUTING.md
explains the rules to an author; test_notebooks.py proves that each one can fail.
"""

import re
from pathlib import Path

import nbformat
import outline
from refresh import FIGURE, WIDGET_VIEW, is_readable, normalise, predictions, text_of

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
# A line that a student is to believe rather than see: "... : True", or an array of them.
BOOLEAN = re.compile(r"(?:^|[\s:\[,])(?:True|False)[\s\],]*$", re.MULTILINE)


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
        source = re.sub(r"^```.*?^```", "", cell.source, flags=re.MULTILINE | re.DOTALL)
        for marks, text in re.findall(r"^(#+) (.*)$", source, re.MULTILINE):
            yield len(marks), text.strip(), cell


def is_valid(nb, name):
    try:
        nbformat.validate(nb)
    except nbformat.ValidationError as error:
        yield f"not nbformat 4.5: {error.message}"
    if (nb.nbformat, nb.nbformat_minor) != (4, 5):
        yield f"nbformat {nb.nbformat}.{nb.nbformat_minor}, expected 4.5"


def is_in_normal_form(nb, name):
    if text_of(nb) != text_of(normalise(nb)):
        yield "not as refresh.py stores it"


def is_small(nb, name):
    size = len(text_of(nb).encode())
    if size > MAX_BYTES:
        yield f"{size:,} bytes, at most {MAX_BYTES:,}"


def is_executed(nb, name):
    cells = code_cells(nb)
    if not cells:
        yield "no code"
    for cell in cells:
        if cell.execution_count is None:
            yield f"{cell.id}: not executed"
    counts = [cell.execution_count for cell in cells if cell.execution_count is not None]
    if counts != list(range(1, len(counts) + 1)):
        yield f"executed out of order: {counts}"
    for cell in nb.cells:
        if cell.cell_type == "code" and not cell.source.strip():
            yield f"{cell.id}: an empty code cell"


def has_no_errors(nb, name):
    for cell in code_cells(nb):
        tags = cell.metadata.get("tags", [])
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and "raises-exception" not in tags:
            yield f"{cell.id}: {errors[0].ename}: {errors[0].evalue}"
        if "raises-exception" in tags and not errors:
            yield f"{cell.id}: tagged raises-exception, and raises none"


def is_quiet(nb, name):
    for cell in code_cells(nb):
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"{cell.id}: writes to stderr"


def has_skeleton(nb, name):
    first = nb.cells[0] if nb.cells else None
    number = name[:2]
    if first is None or not re.match(rf"# {number} · \S", first.source):
        yield f'the first cell must start with "# {number} · Title"'
    else:
        for words in LEARN:
            if words not in first.source:
                yield f"the first cell lacks {words}"
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


def states_its_time(nb, name):
    wanted = outline.time_line(*outline.minutes(nb))
    if nb.cells and wanted not in nb.cells[0].source.splitlines():
        yield f'the header must say "{wanted}" on a line of its own: refresh.py writes it'


def goes_deeper_briefly(nb, name):
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


def has_few_exercises(nb, name):
    tasks = [task for s in outline.sections(nb) if s.counted for task in s.tasks]
    kinds = [task["kind"] for task in tasks]
    for kind, most in (("Exercise", MAX_EXERCISES), ("Short task", MAX_SHORT_TASKS)):
        if kinds.count(kind) > most:
            yield f'{kinds.count(kind)} headings "### {kind}", at most {most}'
    for task in tasks:
        if task["kind"] == "Short task" and int(task["minutes"] or 0) > MAX_SHORT_MINUTES:
            yield f'"{task[0]}": a short task takes at most {MAX_SHORT_MINUTES} minutes'


def has_numbered_exercises(nb, name):
    number = name[:2].lstrip("0") or "0"
    for level, text, _ in headings(nb):
        if not re.match(r"(Exercise|Short task)\b", text):
            continue
        task = outline.TASK.match(f"{'#' * level} {text}")
        if not task or not task["minutes"] or not re.match(rf"{number}\.\d", task["number"]):
            yield f'"{text}": expected "### Exercise {number}.k · name (25 min)", or Short task'


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


def has_readable_ids(nb, name):
    ids = [cell.get("id", "") for cell in nb.cells]
    for cell_id in ids:
        if not is_readable(cell_id):
            yield f"cell id {cell_id!r}: expected words joined by hyphens"
    for cell_id in sorted({i for i in ids if ids.count(i) > 1}):
        yield f"cell id {cell_id!r} occurs {ids.count(cell_id)} times"


def has_known_tags(nb, name):
    allowed = allowed_tags()
    for cell in nb.cells:
        for tag in cell.metadata.get("tags", []):
            if tag not in allowed:
                yield f"{cell.id}: tag {tag!r} has no reason in CONTRIBUTING.md"
        if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source):
            yield f"{cell.id}: a comment for nbval; use a tag"


def is_picture(bundle):
    """A widget's or pyplot's PNG, or the <img> of bnlib.figures.show."""
    return "image/png" in bundle or "<img" in bundle.get("text/html", "")


def has_captions(nb, name):
    numbers = []
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if not any(map(is_picture, bundles(cell))):
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
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts += [bundle.get("text/html", "") for bundle in bundles(cell)]
        for text in texts:
            for image in re.findall(r"<img\b[^>]*>", text):
                alt = re.search(r"""\balt=(["'])(.*?)\1""", image)
                if not alt or not alt[2].strip():
                    yield f"{cell.id}: <img> without alt text"
                elif len(alt[2].split()) < MIN_ALT_WORDS or not alt[2].endswith("."):
                    yield f"{cell.id}: alt text {alt[2]!r}: expected a sentence of what it shows"
                elif alt[2] in seen:
                    yield f"{cell.id}: the alt text of another figure: {alt[2]!r}"
                seen.add(alt[2] if alt else None)
            if cell.cell_type == "markdown" and "![](" in text:
                yield f"{cell.id}: a picture without alt text"
        for bundle in bundles(cell):
            if "image/png" in bundle and bundle.get("text/plain", "<").startswith("<"):
                yield f"{cell.id}: a figure without alt text; end with bnlib.figures.show(fig, ...)"


def has_readable_text(nb, name):
    """Letters need more contrast than lines, so they have a palette of their own."""
    for cell in code_cells(nb):
        for line in cell.source.splitlines():
            if re.search(r"\b(text|annotate|set_title|set_color)\(.*color=(\w+\.)?COLORS\[", line):
                yield f"{cell.id}: text in a colour for lines, not figures.INK: {line.strip()!r}"


def has_checked_equations(nb, name):
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if cell.cell_type == "markdown" and "$$" in cell.source:
            if after is None or after.cell_type != "code":
                yield f"{cell.id}: a displayed equation, and no code cell after it checks it"


def has_widget_fallbacks(nb, name):
    for cell in code_cells(nb):
        for bundle in bundles(cell):
            text = bundle.get("text/plain", "")
            if re.match(r"<?(VBox|HBox|Box|Stack|Output|Axes|\w*Slider|LiveFigure|Film)\b", text):
                yield f"{cell.id}: shows {text[:30]!r} instead of a sentence or a picture"
            if WIDGET_VIEW in bundle:
                if "image/png" not in bundle:
                    yield f"{cell.id}: a widget without a picture for pages with no kernel"
                if len(text.split()) < 4 or not text.rstrip().endswith("."):
                    yield f"{cell.id}: a widget whose text/plain is no sentence: {text[:60]!r}"


def has_predictions(nb, name):
    found = list(predictions(nb))
    for prediction, runs, answer in found:
        at = nb.cells.index(prediction)
        if at + 1 == len(nb.cells) or nb.cells[at + 1].cell_type != "code":
            yield f"{prediction.id}: a prediction, and no run right after it"
        elif answer is None:
            yield (
                f"{prediction.id}: after the run (and captions) must come the folded answer, in "
                "<details>, before anything else that can be read"
            )
        for cell in runs:
            if cell.outputs and not cell.metadata.get("jupyter", {}).get("outputs_hidden"):
                yield f"{cell.id}: its stored output gives the answer away; refresh.py folds it"
        if "<details" in prediction.source:
            yield f"{prediction.id}: the answer stands before the run"
    if not found:
        yield 'no prediction: a cell that starts with "**Predict.**"'


# A measured number: 0.5, 3,000, 9 of 30, = 6, 95 %. In what heads a table ("layer 1 2 3") is none.
MEASURED = re.compile(r"\d[.,]\d|\d of|[=:] *-?\d|\d %")


def folded_outputs_give_nothing_away(nb, name):
    """JupyterLab shows the first line of a folded output that is not empty, HTML as it is."""
    for cell in code_cells(nb):
        if not cell.metadata.get("jupyter", {}).get("outputs_hidden") or not cell.outputs:
            continue
        first = cell.outputs[0]
        shown = first.get("text") or first.data.get("text/html") or first.data["text/plain"]
        line = next((line for line in shown.split("\n") if line), "")
        if MEASURED.search(line) or line.startswith("<"):
            yield f"{cell.id}: folded, it still shows {line[:60]!r}; print a heading first"


def has_short_cells(nb, name):
    for cell in visible_code(nb):
        lines = len(cell.source.strip().splitlines())
        if lines > MAX_LINES:
            yield f"{cell.id}: {lines} visible lines, at most {MAX_LINES}; fold it or cut it"


def prints_no_booleans(nb, name):
    for cell in code_cells(nb):
        for output in cell.outputs:
            text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
            if found := BOOLEAN.search(text):
                line = text[: found.end()].splitlines()[-1]
                yield f"{cell.id}: prints {line!r}: show a picture or a number, assert in silence"


def has_no_private_paths(nb, name):
    for cell in nb.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            texts += output.get("traceback", [])
            data = output.get("data", {})
            texts += [v for k, v in data.items() if k.startswith("text/") and isinstance(v, str)]
        for text in texts:
            text = re.sub(r"data:image/[^\"')]*", "", text)
            if found := PRIVATE.search(text):
                yield f"{cell.id}: a private path or an address: {found.group()!r}"


RULES = [
    is_valid,
    is_in_normal_form,
    is_small,
    is_executed,
    has_no_errors,
    is_quiet,
    has_skeleton,
    is_one_sitting,
    states_its_time,
    goes_deeper_briefly,
    has_recall,
    has_few_exercises,
    has_numbered_exercises,
    has_stubs_and_checks,
    has_one_blas_thread,
    has_readable_ids,
    has_known_tags,
    has_captions,
    has_alt_text,
    has_readable_text,
    has_checked_equations,
    has_widget_fallbacks,
    has_predictions,
    folded_outputs_give_nothing_away,
    has_short_cells,
    prints_no_booleans,
    has_no_private_paths,
]
