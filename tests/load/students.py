"""Many students at once: each has a kernel, runs a whole notebook, then moves its widgets.

    python tests/load/students.py --students 20 --cores 2
    python tests/load/students.py --students 1 --each       # each notebook alone: time and memory

All start at the same moment, as when an instructor says "run all", on the first `--cores` cores.
Student k takes notebook k of the list, and begins the list anew at its end. Every cell has
`--timeout` seconds. Then each slider, dropdown and button of the notebook is moved `--moves` times
by the messages that a browser would send, and the kernel has to answer.

A failed cell, a timeout, a widget that does not answer, or a kernel that ever held more than
`--megabytes` (VmHWM of /proc, so Linux only) is a failure: exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@dataclass
class Student:
    """What one student saw: seconds to run all, seconds a move, MB, and what went wrong."""

    notebook: str
    run: float = 0.0
    moves: list[float] = field(default_factory=list)
    megabytes: float = 0.0
    problems: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--students", type=int, default=4)
    add("--cores", type=int, default=2)
    add("--moves", type=int, default=3, help="of each widget's setting")
    add("--timeout", type=float, default=300, help="seconds a cell or a move may take")
    add("--megabytes", type=float, default=500, help="what a kernel may hold at most")
    add("--each", action="store_true", help="each notebook in turn, by all the students")
    add("notebooks", nargs="*", type=Path, help="default: all")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("the peak memory of a kernel is read from /proc, which this system lacks")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # kernels inherit it

    notebooks = options.notebooks or sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    if options.each:
        groups = [[notebook] * options.students for notebook in notebooks]
    else:
        groups = [[notebooks[k % len(notebooks)] for k in range(options.students)]]
    print(f"{options.students} at a time on {len(os.sched_getaffinity(0))} cores")
    print(f"{'notebook':24} {'run all':>8} {'a move: median':>15} {'longest':>8} {'peak':>7}")
    students = []
    for group in groups:
        students += asyncio.run(everybody(group, options))
    if options.moves and not any(student.moves for student in students):
        students[0].problems.append("no widget of any notebook was moved")
    bad = [student for student in students if student.problems]
    for student in bad:
        print(f"{student.notebook}: {'; '.join(student.problems)}", file=sys.stderr)
    print(f"{len(students) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


async def everybody(notebooks: list[Path], options: argparse.Namespace) -> list[Student]:
    students = await asyncio.gather(*(study(notebook, options) for notebook in notebooks))
    for student in students:
        moves = sorted(student.moves) or [float("nan")]
        print(
            f"{student.notebook:24} {student.run:6.1f} s {moves[len(moves) // 2]:13.2f} s "
            f"{moves[-1]:6.2f} s {student.megabytes:4.0f} MB",
            flush=True,
        )
    return students


async def study(path: Path, options: argparse.Namespace) -> Student:
    """Run all of a notebook in a folder of its own, then move its widgets."""
    student = Student(path.stem)
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="bnlib-load-") as folder:
        client = NotebookClient(
            notebook,
            timeout=options.timeout,
            startup_timeout=options.timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        async with client.async_setup_kernel():
            try:
                start = time.perf_counter()
                for index, cell in enumerate(notebook.cells):
                    await client.async_execute_cell(cell, index)
                student.run = time.perf_counter() - start
                for message in moves(client.widget_state, options.moves):
                    start = time.perf_counter()
                    await move(client, *message, options.timeout)
                    student.moves.append(time.perf_counter() - start)
            except Exception as error:  # one student's trouble is reported, the others go on
                student.problems.append(f"{type(error).__name__}: {error}"[-400:])
            student.megabytes = peak(client.km.provisioner.pid)
    if student.megabytes > options.megabytes:
        student.problems.append(f"{student.megabytes:.0f} MB, more than {options.megabytes:.0f}")
    return student


def moves(widgets: dict[str, dict], times: int) -> list[tuple[str, dict]]:
    """(widget, message) for every setting a reader can move, `times` each, spread over its range.

    widgets: the state of each, as nbclient collected it from the kernel's messages.
    """
    messages = []
    for k in range(times):
        for model, state in widgets.items():
            name = state.get("_model_name", "")
            if state.get("disabled"):
                continue
            if name in ("IntSliderModel", "FloatSliderModel"):
                steps = round((state["max"] - state["min"]) / (state["step"] or 1))
                value = state["min"] + (state["step"] or 1) * (steps * (k + 1) // (times + 1))
                messages.append((model, {"method": "update", "state": {"value": value}}))
            elif name in ("DropdownModel", "SelectionSliderModel", "ToggleButtonsModel"):
                index = k % len(state["_options_labels"])
                messages.append((model, {"method": "update", "state": {"index": index}}))
            elif name in ("CheckboxModel", "ToggleButtonModel"):
                messages.append((model, {"method": "update", "state": {"value": k % 2 == 0}}))
            elif name == "ButtonModel":
                messages.append((model, {"method": "custom", "content": {"event": "click"}}))
    return messages


async def move(client: NotebookClient, model: str, data: dict, timeout: float) -> None:
    """Send what a browser sends, and wait until the kernel is at rest again.

    Raises RuntimeError for an error or a line on stderr, TimeoutError where nothing answers.
    """
    data = {"buffer_paths": [], **data}
    message = client.kc.session.msg("comm_msg", {"comm_id": model, "data": data})
    client.kc.shell_channel.send(message)
    own = message["header"]["msg_id"]
    end = time.monotonic() + timeout
    while True:
        answer = await client.kc.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
        kind, content = answer["msg_type"], answer["content"]
        if kind == "error" or (kind == "stream" and content["name"] == "stderr"):
            raise RuntimeError(f"after {data}: {content.get('text') or content.get('evalue')}")
        of_ours = answer["parent_header"].get("msg_id") == own
        if of_ours and kind == "status" and content["execution_state"] == "idle":
            return


def peak(pid: int) -> float:
    """The most memory (MB) that a process has held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no VmHWM in the status of process {pid}: has it ended?")


if __name__ == "__main__":
    sys.exit(main())
