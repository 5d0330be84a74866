"""The rules a notebook keeps: one function a rule, each yielding what is wrong, in words.

`rule(nb, name)` takes the notebook as read by `refresh.read` and its file name. CONTRIBUTING.md
explains the rules to an author; test_notebooks.py proves that each one can fail.
"""

import re
from pathlib import Path

import nbformat
from refresh import PREDICTION, WIDGET_VIEW, is_readable, normalise, text_of

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 1_500_000
# Absolute paths of somebody's machine, temporary files of a kernel, addresses of objects.
PRIVATE = re.compile(
    r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work|tmp|opt|usr|var|private)/[\w.]"
    r"|[A-Z]:\\\\?Users|site-packages|ipykernel_\d+|\bat 0x[0-9a-f]{6,}"
)
FIGURE = re.compile(r"\*Figure (\d+)\.\*")
LEARN = ("**What you will learn**", "**Time**", "**You need**")


def allowed_tags():
    """The tags of the table in CONTRIBUTING.md: `tag` in the first column, its reason after."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([\w/-]+)` \| \S", text, re.MULTILINE))


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def markdown_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


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
    if names[-2:] != ["Summary", "Further reading"]:
        yield f'the last two sections must be "Summary" and "Further reading", got {names[-2:]}'
    else:
        at = nb.cells.index(sections[-1][1])
        text = "\n".join(cell.source for cell in nb.cells[at:])
        if "https://arxiv.org/abs/" not in text:
            yield "Further reading names no paper with https://arxiv.org/abs/..."
    wanted = re.compile(rf"Exercise {int(number) if number.isdigit() else number}\.\d+ · \S")
    for _, text, _ in found:
        if text.startswith("Exercise ") and not wanted.match(text):
            yield f'"{text}": expected "Exercise {int(number)}.k · name"'


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


def has_captions(nb, name):
    numbers = []
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if not any("image/png" in bundle for bundle in bundles(cell)):
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
    for cell in nb.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts += [bundle.get("text/html", "") for bundle in bundles(cell)]
        for text in texts:
            for image in re.findall(r"<img\b[^>]*>", text):
                if not re.search(r"""\balt=(["'])\s*[^"'\s]""", image):
                    yield f"{cell.id}: <img> without alt text"
            if cell.cell_type == "markdown" and "![](" in text:
                yield f"{cell.id}: a picture without alt text"


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
    found = 0
    for cell, after in zip(nb.cells, [*nb.cells[1:], None], strict=True):
        if cell.cell_type == "markdown" and cell.source.startswith(PREDICTION):
            found += 1
            if after is None or after.cell_type != "code":
                yield f"{cell.id}: a prediction, and no run right after it"
    if not found:
        yield 'no prediction: a cell that starts with "**Predict.**"'


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
    has_readable_ids,
    has_known_tags,
    has_captions,
    has_alt_text,
    has_checked_equations,
    has_widget_fallbacks,
    has_predictions,
    has_no_private_paths,
]
