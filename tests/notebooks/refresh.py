"""Execute notebooks and store them in the one form that this repository keeps.

    python tests/notebooks/refresh.py                    all of notebooks/
    python tests/notebooks/refresh.py notebooks/00_*.ipynb
    python tests/notebooks/refresh.py --check            only say which are not in that form

Normal form, so that a diff shows what the author changed and nothing else: kernelspec python3, no
version numbers, readable cell ids, execution counts 1, 2, 3 ..., no times, no state of widgets
unless the notebook's metadata says {"bnlib": {"keep_widget_state": true}} (a film that should move
in an exported page). What runs between a prediction and its answer has its outputs folded, so that
they do not give the answer away; JupyterLab unfolds them when the cell runs. The header's **Time**
is counted (outline.py). A notebook that fails is left as it was. Two notebooks at a time.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import sys
import tempfile
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
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
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
    """The notebook as nbformat 4.5. Cells that had no id have "" (nbformat would invent one)."""
    raw = json.loads(Path(path).read_text(encoding="utf-8"))
    missing = [not cell.get("id") for cell in raw.get("cells", [])]
    for position, cell in enumerate(raw.get("cells", [])):
        cell["id"] = cell.get("id") or f"missing-{position}"
    raw["nbformat_minor"] = max(5, raw.get("nbformat_minor", 5))
    nb = nbformat.from_dict(raw)
    for cell, was_missing in zip(nb.cells, missing, strict=True):
        if isinstance(cell.source, list):
            cell.source = "".join(cell.source)
        if was_missing:
            cell.id = ""
    return nbformat.v4.rwbase.rejoin_lines(nb)


def text_of(nb):
    """The bytes to store, as text: sorted keys, one space of indentation, a newline at the end."""
    return nbformat.writes(nb, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def normalise(nb):
    """The same notebook in normal form; the argument is left alone."""
    nb = copy.deepcopy(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    own = nb.metadata.get("bnlib", {})
    keep_state = bool(own.get("keep_widget_state")) and "widgets" in nb.metadata
    metadata = {"kernelspec": dict(KERNELSPEC), "language_info": dict(LANGUAGE_INFO)}
    if own:
        metadata["bnlib"] = own
    if keep_state:
        metadata["widgets"] = nb.metadata.widgets
    nb.metadata = nbformat.from_dict(metadata)

    _name_cells(nb)
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
        cell.outputs = _normal_outputs(cell.outputs, cell.execution_count, keep_state)
    _fold_answers(nb)
    outline.state_time(nb)
    if keep_state:
        _normal_widgets(nb)
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


def _fold_answers(nb):
    """Fold the stored output of each cell that answers a prediction, and no other."""
    answering = {cell.id for _, runs, _ in predictions(nb) for cell in runs}
    for cell in nb.cells:
        if cell.cell_type == "code":
            flags = dict(cell.metadata.get("jupyter", {}))
            flags.pop("outputs_hidden", None)
            if cell.id in answering:
                flags["outputs_hidden"] = True
            cell.metadata.pop("jupyter", None)
            if flags:
                cell.metadata["jupyter"] = nbformat.from_dict(flags)


def _name_cells(nb):
    """Give each cell without a readable id one made from its words, or from the heading above."""
    taken = {cell.id for cell in nb.cells if is_readable(cell.id)}
    seen, heading = set(), "start"
    for cell in nb.cells:
        slug = ""
        if cell.cell_type == "markdown":
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            words = re.findall(r"[a-z][a-z0-9]*", first.lower())
            slug = "-".join(words[:5])
            if first.startswith("#") and slug:
                heading = slug
        if is_readable(cell.id) and cell.id not in seen:
            seen.add(cell.id)
            continue
        base = slug if is_readable(slug) else f"{cell.cell_type}-{heading}"
        base, k = base[:48].rstrip("-"), 1
        name = base
        while name in taken or not is_readable(name):
            k += 1
            name = f"{base}-{k}"
        cell.id = name
        taken.add(name)
        seen.add(name)


def _normal_outputs(outputs, execution_count, keep_state):
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
        if "data" in output and not keep_state and len(output.data) > 1:
            # Without its state a widget cannot be shown; the picture and the sentence can.
            output.data.pop(WIDGET_VIEW, None)
        result.append(output)
    return result


def _normal_widgets(nb):
    """Keep the models that shown widgets are made of, under ids that do not change."""
    store = nb.metadata.widgets.get(WIDGET_STATE, {})
    state = store.get("state", {})
    shown = [
        output.data[WIDGET_VIEW]["model_id"]
        for cell in nb.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if WIDGET_VIEW in output.get("data", {})
    ]
    order = {}

    def visit(model_id):
        if model_id in state and model_id not in order:
            order[model_id] = None
            for other in _references(state[model_id]):
                visit(other)

    for model_id in shown:
        visit(model_id)
    # A link holds its two ends and nobody holds the link: it belongs to what it joins.
    for model_id, model in sorted(state.items(), key=lambda item: _link_key(item[1], order)):
        ends = _references(model)
        if "Link" in model.get("model_name", "") and ends and all(end in order for end in ends):
            visit(model_id)
    new = {old: hashlib.sha256(f"{k}".encode()).hexdigest()[:32] for k, old in enumerate(order)}
    text = json.dumps({old: state[old] for old in order})
    for old, name in new.items():
        text = text.replace(old, name)
    store["state"] = json.loads(text)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).get(WIDGET_VIEW)
            if view and view["model_id"] in new:
                view["model_id"] = new[view["model_id"]]


def _references(model):
    return re.findall(r"IPY_MODEL_([0-9a-f]{32})", json.dumps(model.get("state", {})))


def _link_key(model, order):
    """A sort key that does not depend on the random ids: which models, in shown order, it names."""
    text = json.dumps(model.get("state", {}), sort_keys=True)
    for k, old in enumerate(order):
        text = text.replace(old, f"{k:08d}")
    return text


def execute(nb, folder, timeout):
    """Run every cell in a fresh kernel, from no outputs; return None, or (cell id, message)."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellTimeoutError, DeadKernelError

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nb.metadata.pop("widgets", None)
    keep = bool(nb.metadata.get("bnlib", {}).get("keep_widget_state"))
    client = NotebookClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=keep,
        record_timing=False,
    )
    at = {}
    client.on_cell_start = lambda cell, cell_index: at.update(id=cell.id or f"cell {cell_index}")
    try:
        client.execute()
    except (CellControlSignal, CellTimeoutError, DeadKernelError) as error:
        return at.get("id", "no cell"), str(error)
    return None


def write(path, text):
    """Replace the file in one step: a crash leaves the old one or the new one, never half."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
    for cell in nb.cells:
        if any(out.get("name") == "stderr" for out in cell.get("outputs", [])):
            print(f"{path.name}: cell {cell.id!r} writes to stderr: the tests will refuse it")
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
    parser.add_argument("--jobs", type=int, default=2, help="notebooks at a time")
    args = parser.parse_args(argv)

    # As in the tests: one BLAS thread, also in the kernel.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    paths = [path.resolve() for path in args.notebooks] or sorted(NOTEBOOKS.glob("*.ipynb"))
    if not paths:
        print(f"no notebooks in {NOTEBOOKS}", file=sys.stderr)
        return 1
    timeouts = [args.timeout] * len(paths)
    if args.check:
        results = [check(path) for path in paths]
    elif min(args.jobs, len(paths)) < 2:
        results = list(map(refresh, paths, timeouts))
    else:
        with ProcessPoolExecutor(args.jobs) as pool:
            results = list(pool.map(refresh, paths, timeouts))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
