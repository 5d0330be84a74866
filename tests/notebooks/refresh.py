"""Execute notebooks and store them in the one form that this repository keeps.

    python tests/notebooks/refresh.py                    all of notebooks/
    python tests/notebooks/refresh.py notebooks/00_*.ipynb
    python tests/notebooks/refresh.py --check            only say which are not in that form

Normal form, so that a diff shows what the author changed and nothing else: kernelspec python3, no
version numbers, readable cell ids, execution counts 1, 2, 3 ..., no times, no state of widgets.
What runs between a prediction and its answer has its outputs folded, so that they do not give the
answer away; JupyterLab unfolds them when the cell runs. The header's **Time** is counted
(outline.py). A notebook that fails is left as it was. Two notebooks at a time.
"""

import argparse
import copy
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
import outline

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
KEPT_CELL_METADATA = ("jupyter", "slideshow", "tags")
PREDICTION = "**Predict.**"
FIGURE = re.compile(r"\*Figure (\d+)\.\*")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# Readable: words joined by hyphens; the second pattern is what Jupyter invents by itself.
READABLE_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RANDOM_ID = re.compile(r"(?=[a-f0-9-]*[0-9])[a-f0-9]{8}(-[a-f0-9]{4}){0,3}(-[a-f0-9]{12})?")


def is_readable(cell_id):
    """Whether an author chose this cell id, rather than a program or nobody."""
    return (
        isinstance(cell_id, str)
        and len(cell_id) <= 64
        and READABLE_ID.fullmatch(cell_id) is not None
        and RANDOM_ID.fullmatch(cell_id) is None
    )


def read(path):
    """The notebook; a cell that has no id gets one in normal form."""
    return nbformat.v4.reads(Path(path).read_text(encoding="utf-8"))


def text_of(nb):
    """The bytes to store, as text: sorted keys, one space of indentation, a newline at the end."""
    return nbformat.v4.writes(nb).rstrip("\n") + "\n"


def normalise(nb):
    """The same notebook in normal form; the argument is left alone."""
    nb = copy.deepcopy(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO})
    _name_cells(nb)
    answering = {cell.id for _, runs, _ in predictions(nb) for cell in runs}
    count = 0
    for cell in nb.cells:
        kept = {k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA and v}
        cell.metadata = nbformat.from_dict(kept)
        if not cell.get("attachments"):
            cell.pop("attachments", None)
        if cell.cell_type != "code":
            continue
        executed = cell.execution_count is not None
        count += executed
        cell.execution_count = count if executed else None
        cell.outputs = _normal_outputs(cell.outputs, cell.execution_count)
        flags = {**cell.metadata.pop("jupyter", {}), "outputs_hidden": cell.id in answering}
        if flags := {k: v for k, v in flags.items() if v}:
            cell.metadata["jupyter"] = nbformat.from_dict(flags)
    outline.state_time(nb)
    return nb


def predictions(nb):
    """(prediction, runs, answer) of every prediction: its cell, the code cells, the answer's cell.

    Between the two stand code cells and captions of figures, nothing else that can be read. The
    answer begins with <details>, or is a caption that ends with it; it is None where something
    else comes first.
    """
    for at, cell in enumerate(nb.cells):
        if cell.cell_type != "markdown" or not cell.source.startswith(PREDICTION):
            continue
        runs, answer = [], None
        for after in nb.cells[at + 1 :]:
            caption = FIGURE.match(after.source)
            if after.cell_type == "code":
                runs.append(after)
            elif after.source.startswith("<details") or (caption and "<details" in after.source):
                answer = after
                break
            elif not caption:
                break
        yield cell, runs, answer


def _name_cells(nb):
    """Give each cell without a readable id one made from its words, or from the heading above."""
    taken = {cell.id for cell in nb.cells if is_readable(cell.get("id"))}
    seen, heading = set(), "start"
    for cell in nb.cells:
        words = []
        if cell.cell_type == "markdown":
            words = re.findall(r"[a-z][a-z0-9]*", cell.source.strip().partition("\n")[0].lower())
        slug = "-".join(words[:5])[:48].rstrip("-")
        if slug and cell.source.startswith("#"):
            heading = slug
        name = cell.get("id")
        if not is_readable(name) or name in seen:
            base = slug if is_readable(slug) else f"{cell.cell_type}-{heading}"
            names = (base, *(f"{base}-{k}" for k in range(2, len(nb.cells) + 2)))
            cell.id = name = next(n for n in names if n not in taken)
        taken.add(name)
        seen.add(name)


def _normal_outputs(outputs, execution_count):
    result = []
    for output in copy.deepcopy(outputs):
        kind = output.output_type
        if kind == "stream":
            # The kernel cuts a stream where it likes: one piece for each run of the same name.
            if result and result[-1].output_type == "stream" and result[-1].name == output.name:
                result[-1].text += output.text
                continue
        elif kind == "error":
            # A traceback holds paths and colour codes; nbval compares the name and the message.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        elif kind == "execute_result":
            output.execution_count = execution_count
        if len(output.get("data", ())) > 1:
            # Without its state a widget cannot be shown; the picture and the sentence can.
            output.data.pop(WIDGET_VIEW, None)
        result.append(output)
    return result


def execute(nb, folder, timeout):
    """Run every cell in a fresh kernel, from no outputs; return None, or (cell id, message)."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellTimeoutError, DeadKernelError

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
    )
    at = {}
    client.on_cell_start = lambda cell, cell_index: at.update(id=cell.get("id", cell_index))
    try:
        client.execute()
    except (CellControlSignal, CellTimeoutError, DeadKernelError) as error:
        return at.get("id", "no cell"), str(error)
    return None


def write(path, text):
    """Replace the file in one step: a crash leaves the old one or the new one, never half."""
    temporary = path.with_name(f".{path.stem}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def refresh(path, timeout=600):
    """Execute, normalise, store. Returns whether that worked; says on stderr why not."""
    start = time.perf_counter()
    nb = read(path)
    failure = execute(nb, path.parent, timeout)
    if failure:
        cell_id, message = failure
        print(f"{path.name}: cell {cell_id!r} failed, file left as it was", file=sys.stderr)
        print(message, file=sys.stderr)
        return False
    text = text_of(normalise(nb))
    write(path, text)
    seconds = time.perf_counter() - start
    print(f"{path.name}: {seconds:.1f} s, {len(text.encode()) / 1e3:.0f} kB")
    return True


def check(path):
    """Whether the file is in normal form already; nothing is executed or written."""
    text = path.read_text(encoding="utf-8")
    good = text == text_of(normalise(read(path)))
    if not good:
        print(f"{path.name}: not in normal form: python tests/notebooks/refresh.py {path}")
    return good


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--check", action="store_true", help="do not execute, only check the form")
    parser.add_argument("--timeout", type=int, default=600, help="seconds a cell may take")
    args = parser.parse_args(argv)

    # As in the tests: one BLAS thread, also in the kernel.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    paths = [path.resolve() for path in args.notebooks] or sorted(NOTEBOOKS.glob("*.ipynb"))
    if args.check:
        return 0 if all([check(path) for path in paths]) else 1
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(refresh, paths, [args.timeout] * len(paths)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
