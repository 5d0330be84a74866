"""From a folder of handed-in my_bn.py files to a table: who passed what, and which mistakes.

Each file is judged in processes of its own (judge.py), several at a time. All files are read before
the first one runs, and the tables are written after the last one has ended: no file sees another.
"""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import re
import signal
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from tqdm import tqdm

import bnlib
from bnlib.classroom import LEGEND
from bnlib.classroom.judge import START, TIMES, Judged, judge
from bnlib.exercises import available

# What a platform makes of the name: my_bn-1.py, my_bn (2).py.
NAME = re.compile(r"[ _-]*my_bn(?:[ _-]*(?:\(\d+\)|\d+))?[ _-]*")
LARGEST = 1_000_000  # bytes of a handed-in file; with everything in it, it has 20,000


@dataclass(frozen=True)
class Handed:
    """One file that was handed in.  text: its bytes; None if there is nothing to judge."""

    student: str
    file: str
    text: bytes | None
    judged: Judged = field(default_factory=Judged)

    @property
    def passed(self) -> list[str]:
        """The exercises whose functions are correct."""
        return [n for n, verdict in self.judged.verdicts.items() if verdict.outcome == "correct"]


def collect(folder: Path) -> list[Handed]:
    """One for each .py file below folder, and for each student without one.

    A student is a folder in it, or the name of a file without "my_bn".
    """
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__")):
            continue
        paths = [path for path in sorted(entry.rglob("*")) if path.is_file()] or [entry]
        shown = [p for p in paths if not p.name.startswith(".") and "__pycache__" not in p.parts]
        python = [path for path in shown if path.suffix.lower() == ".py"]
        student = entry.name
        if entry.is_file():
            student = re.sub(NAME, "", entry.stem) or entry.stem
        for path in python:
            text, trouble = _read(path)
            name = path.relative_to(folder).as_posix()
            found.append(Handed(student, name, text, Judged(trouble)))
        if not python:
            trouble = "no file that ends in .py was handed in"
            found.append(Handed(student, entry.name, None, Judged(trouble)))
    students = [handed.student for handed in found]
    return [h if students.count(h.student) < 2 else _one_of_several(h, students) for h in found]


def _one_of_several(handed: Handed, students: list[str]) -> Handed:
    count = students.count(handed.student)
    return replace(handed, student=f"{handed.student} ({count} files)")


def _read(path: Path) -> tuple[bytes | None, str]:
    try:
        if path.stat().st_size > LARGEST:
            return None, f"is larger than {LARGEST // 1000:,} kB"
        return path.read_bytes(), ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"


# ---------------------------------------------------------------- each in processes of its own


def judge_all(
    handed: list[Handed], jobs: int, seconds: float, memory: int, progress: bool = True
) -> list[Handed]:
    """The same with the verdicts. seconds: for one function; memory: bytes for one file."""
    done = {h.file: h for h in handed}
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            pool.submit(judge_apart, h.text, seconds, memory): h
            for h in handed
            if h.text is not None
        }
        try:
            ended = as_completed(running)
            for future in tqdm(ended, "files", len(running), disable=not progress, unit="file"):
                h = running[future]
                done[h.file] = replace(h, judged=future.result())
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():  # they would go on to their ends
                _end(process)
            raise
    return list(done.values())


def judge_apart(text: bytes, seconds: float, memory: int) -> Judged:
    """`judge` in a process of its own, which is ended in any case, with all that it has started.

    The pipe is a pair of sockets, which no other process can open to write a result into it.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_judge, args=(there, text, seconds, memory))
    process.start()
    there.close()
    try:
        if here.poll((TIMES + 2) * seconds + 2 * START):
            return here.recv()
        return Judged("could not be judged: its judge had no end")
    except EOFError:
        process.join(1)
        return Judged(f"could not be judged: its judge was ended (exit code {process.exitcode})")
    finally:
        _end(process)
        here.close()


def _judge(there, text, seconds, memory):
    if hasattr(os, "setsid"):
        os.setsid()  # so that one signal ends all that the file has started
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    bnlib.use_one_blas_thread()
    try:
        judged = judge(text, seconds, memory)
    except Exception as error:
        judged = Judged(f"could not be judged: {type(error).__name__}: {error}"[:300])
    there.send(judged)


def _end(process) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    process.kill()
    process.join()


# ---------------------------------------------------------------- the tables


def mistakes(handed: list[Handed]) -> list[tuple[str, str, list[str]]]:
    """(id, exercise, files) of the recognised mistakes, the most frequent first."""
    files = defaultdict(list)
    for h in handed:
        for name, verdict in h.judged.verdicts.items():
            if verdict.mistake:
                files[verdict.mistake, name].append(h.file)
    return sorted(((*key, f) for key, f in files.items()), key=lambda m: (-len(m[2]), m[:2]))


def write_tables(handed: list[Handed], folder: Path) -> None:
    """results.csv, mistakes.csv and results.html into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    head = ["student", "file", "trouble", "passed", *available, "takes from bnlib"]
    rows = [
        [h.student, h.file, h.judged.trouble, len(h.passed)]
        + [_cell(h, name) for name in available]
        + [" ".join(h.judged.takes)]
        for h in handed
    ]
    _write_csv(folder / "results.csv", [head, *rows])
    found = [(mistake, name, len(f), " ".join(f)) for mistake, name, f in mistakes(handed)]
    head = ["mistake", "exercise", "files", "which"]
    _write_csv(folder / "mistakes.csv", [head, *found])
    (folder / "results.html").write_text(page(handed), encoding="utf-8")


def _cell(h: Handed, name: str) -> str:
    verdict = h.judged.verdicts.get(name)
    if verdict is None:
        return ""
    return f"{verdict.outcome}: {verdict.mistake}" if verdict.mistake else verdict.outcome


def _write_csv(path: Path, rows) -> None:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:  # as Excel expects it
        for row in rows:
            # A name that starts like a formula would be one in a spreadsheet.
            safe = [re.sub(r"^(?=[=+@\t-])", "'", str(cell)) for cell in row]
            csv.writer(file).writerow([re.sub(r"[\x00-\x1f]+", " ", cell) for cell in safe])


STYLE = """
body { font: 16px/1.45 sans-serif; margin: 2em; color: #111; background: #fff }
table { border-collapse: collapse; margin: 1em 0 2em }
caption { text-align: left; font-weight: bold; font-size: 1.2em; padding: 0.3em 0 }
th, td { border: 1px solid #999; padding: 0.25em 0.6em; text-align: left; vertical-align: top }
tbody th { position: sticky; left: 0; background: #fff }
thead th { background: #eee; vertical-align: bottom } .correct { background: #e2f0e2 }
.trouble, .suspicious { background: #fbe3d6; font-weight: bold }
"""


def page(handed: list[Handed]) -> str:
    """The tables as one HTML page, without anything from elsewhere."""
    names = [name for name in available if any(name in h.judged.verdicts for h in handed)]
    rows = []
    for h in handed:
        cells = [_td(str(len(h.passed)))]
        if h.judged.trouble:
            cells.append(_td(h.judged.trouble, "trouble", len(names)))
        else:
            cells += [_td(_cell(h, n), _cell(h, n).partition(":")[0]) for n in names]
        rows.append([h.student, h.file, *cells, _td(", ".join(h.judged.takes))])
    sums = [sum(name in h.passed for h in handed) for name in names]
    rows.append(["all", f"{len(handed)} files", _td(str(sum(sums))), *map(_td, map(str, sums)), ""])
    known = {(m.id, n): m.message for n in names for m in available[n].mistakes}
    wrong = [
        [mistake, name, _td(str(len(f))), _td(known.get((mistake, name), ""))]
        for mistake, name, f in mistakes(handed)
    ]
    said = [
        [h.file, name, _td(verdict.outcome), _td(verdict.said)]
        for h in handed
        for name, verdict in h.judged.verdicts.items()
        if verdict.outcome != "correct"
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Results</title><style>{STYLE}'
        "</style><h1>Results</h1>"
        + _table("Who passed what", ["student", "file", "passed", *names, "takes from bnlib"], rows)
        + _table("Mistakes", ["mistake", "exercise", "files", "what its card says"], wrong)
        + _table("What the checks said", ["file", "exercise", "outcome", "the card"], said)
        + f"<h2>Outcomes</h2><pre>{escape(LEGEND)}</pre>"
        + "<p>What a card says comes from the process in which the student's code ran.</p></html>\n"
    )


def _td(text: str, kind: str = "", span: int = 1) -> str:
    kind = re.sub(r"\W+", "-", kind)
    return f'<td class="{kind}" colspan="{max(1, span)}">{escape(text)}</td>'


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    first = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(cell if cell.startswith("<td") else _td(cell) for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    head = f"<caption>{caption}</caption><thead><tr>{first}</tr></thead>"
    return f"<table>{head}<tbody>{body}</tbody></table>"


# ---------------------------------------------------------------- the command


def run(folder: Path, out: Path, jobs: int, seconds: float, memory: int) -> int:
    """Judge the folder's files and write the tables. Returns the exit code."""
    handed = collect(folder)
    if not handed:
        print(f"{folder} is empty: expected the students' my_bn.py files", file=sys.stderr)
        return 1
    before = _fingerprint()
    handed = judge_all(handed, jobs, seconds, memory)
    write_tables(handed, out)
    passed = sum(len(h.passed) for h in handed)
    print(f"{len(handed)} files, {passed} functions passed: {out / 'results.html'} and two .csv")
    for h in handed:
        if h.judged.trouble:
            print(f"{h.file}: {h.judged.trouble}")
    if before != _fingerprint():
        print(
            "While the files ran, bnlib's own files on this machine were changed. Do not use these "
            "results: install bnlib anew, look for the file that did it, and see the help.",
            file=sys.stderr,
        )
        return 1
    return 1 if any("could not be judged" in h.judged.trouble for h in handed) else 0


def _fingerprint() -> str:
    """Of all files in bnlib, by which a change is found."""
    found = hashlib.sha256()
    for path in sorted(Path(bnlib.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".toml", ".json", ".npz"):
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
