"""From a folder of handed-in my_bn.py files to a table: who passed what, and which mistakes.

Each file is judged in a process of its own (judge.py). All files are read before the first one
runs, and the tables are written after the last one has ended. One runs at a time unless more are
asked for (--jobs): of two at a time, one could write into the other's answers.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path

from tqdm import tqdm

import bnlib
from bnlib.classroom import LEGEND
from bnlib.classroom.judge import Handed, judge
from bnlib.exercises import available

# What a platform makes of the name: my_bn-1.py, my_bn (2).py.
NAME = re.compile(r"[ _-]*my_bn(?:[ _-]*(?:\(\d+\)|\d+))?[ _-]*")
LARGEST = 1_000_000  # bytes of a handed-in file; with everything in it, it has 20,000


def collect(folder: Path) -> list[Handed]:
    """One for each .py file below folder, and for each student without one.

    A student is a folder in it, or the name of a file without "my_bn".
    """
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__")):
            continue
        paths = [entry] if entry.is_file() else sorted(entry.rglob("*"))
        python = [p for p in paths if p.is_file() and p.suffix.lower() == ".py"]
        python = [p for p in python if not re.search(r"/[.]", p.relative_to(folder).as_posix())]
        student = entry.name
        if entry.is_file():
            student = re.sub(NAME, "", entry.stem) or entry.stem
        for path in python:
            found.append(_read(student, path, path.relative_to(folder).as_posix()))
        if not python:
            trouble = "no file that ends in .py was handed in"
            found.append(Handed(student, entry.name, None, trouble))
    count = Counter(handed.student for handed in found)
    for handed in found:
        if count[handed.student] > 1:
            handed.student += f" ({count[handed.student]} files)"
    return found


def _read(student: str, path: Path, name: str) -> Handed:
    try:
        if path.stat().st_size > LARGEST:
            return Handed(student, name, None, f"is larger than {LARGEST // 1000:,} kB")
        return Handed(student, name, path.read_bytes())
    except OSError as error:
        return Handed(student, name, None, f"cannot be read: {error.strerror}")


def judge_all(handed: list[Handed], jobs: int, seconds: float, memory: int) -> None:
    """Fill in the verdicts. seconds: for one function; memory: bytes for one file."""
    waiting = [h for h in handed if h.text is not None]
    running = []
    with tqdm(total=len(waiting), desc="files", unit="file") as bar:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_judge(waiting.pop(0), seconds, memory))
                for steps in list(running):
                    if next(steps, "ended") == "ended":
                        running.remove(steps)
                        bar.update()
                time.sleep(0.02)
        finally:  # interrupted: their processes would go on to their ends
            for steps in running:
                steps.close()


def _judge(handed: Handed, seconds: float, memory: int) -> Iterator[None]:
    """As `judge`; what a file does that judge does not foresee is told in its row."""
    try:
        yield from judge(handed, seconds, memory)
    except Exception as error:
        handed.trouble = f"could not be judged: {type(error).__name__}: {error}"


# ---------------------------------------------------------------- the tables


def _plain(cell: object) -> str:
    """In one line of text that can be written: names of files and processes give us anything."""
    text = str(cell).encode("utf-8", "replace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)


def tables(handed: list[Handed]) -> list[tuple[str, list[str], list[list]]]:
    """(caption, head, rows) of the three tables."""
    head = ["student", "file", "trouble", "passed", *available, "takes from bnlib"]
    rows = [
        [h.student, h.file, h.trouble, len(h.passed)]
        + [str(h.verdicts.get(name, "")) for name in available]
        + [", ".join(h.takes)]
        for h in handed
    ]
    files, said = defaultdict(list), []
    for h in handed:
        for name, verdict in h.verdicts.items():
            if verdict.mistake:
                files[verdict.mistake, name].append(h.file)
            if verdict.outcome != "correct":
                said.append([h.file, name, verdict.outcome, verdict.said])
    cards = {(m.id, name): m.message for name, ex in available.items() for m in ex.mistakes}
    wrong = [[*key, len(f), ", ".join(f), cards.get(key, "")] for key, f in files.items()]
    wrong.sort(key=lambda row: (-row[2], row))  # the most frequent first
    return [
        ("Who passed what", head, rows),
        ("Mistakes", ["mistake", "exercise", "files", "which", "what its card says"], wrong),
        ("What the checks said", ["file", "exercise", "outcome", "the card"], said),
    ]


def write_tables(handed: list[Handed], folder: Path) -> None:
    """results.csv, mistakes.csv and results.html into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    results, mistakes, said = tables(handed)
    for name, (_, head, rows) in (("results", results), ("mistakes", mistakes)):
        # As Excel expects it. There a name that starts like a formula would be one, and where it
        # reads ";" as the end of a cell, what follows too.
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8-sig") as file:
            for row in [head, *rows]:
                cells = [re.sub(r"(^|;)(?=[=+@-])", r"\1'", _plain(cell)) for cell in row]
                csv.writer(file).writerow(cells)
    caption, head, rows = results
    passed = [sum(name in h.passed for h in handed) for name in available]
    rows = [*rows, ["all", f"{len(rows)} files", "", sum(passed), *passed, ""]]
    seen = [i for i, name in enumerate(head) if name not in available or any(r[i] for r in rows)]
    shown = caption, [head[i] for i in seen], [[row[i] for i in seen] for row in rows]
    page = PAGE + "".join(_html(*table) for table in (shown, mistakes, said))
    page += f"<h2>Outcomes</h2><pre>{escape(LEGEND)}</pre>"
    page += "<p>What a card says comes from the process in which the student's code ran.</p></html>"
    (folder / "results.html").write_text(page, encoding="utf-8")


PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Results</title><style>
body { font: 16px/1.45 sans-serif; margin: 2em; color: #111; background: #fff }
table { border-collapse: collapse; margin: 1em 0 2em }
caption { text-align: left; font-weight: bold; font-size: 1.2em; padding: 0.3em 0 }
th, td { border: 1px solid #999; padding: 0.25em 0.6em; text-align: left; vertical-align: top }
tbody th { position: sticky; left: 0; background: #fff }
thead th { background: #eee; vertical-align: bottom } .correct { background: #e2f0e2 }
.trouble:not(:empty), .suspicious { background: #fbe3d6; font-weight: bold }
.trouble:not(:empty) { min-width: 14em }
</style><h1>Results</h1>
"""


def _html(caption: str, head: list[str], rows: list[list]) -> str:
    """A table as HTML, with nothing from elsewhere. The first cell of a row is its heading."""

    def text(value):
        return escape(_plain(value))

    def cell(name, value):
        kind = name if name == "trouble" else value if name in (*available, "outcome") else ""
        return f'<td class="{text(kind)}">{text(value)}</td>'

    first = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{text(heading)}</th>{"".join(map(cell, head[1:], cells))}</tr>'
        for heading, *cells in rows
    )
    return (
        f"<table><caption>{caption}</caption><thead><tr>{first}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


# ---------------------------------------------------------------- the command


def run(folder: Path, out: Path, jobs: int, seconds: float, memory: int) -> None:
    """Judge the folder's files and write the tables. Raises SystemExit where that is not to be."""
    handed = collect(folder)
    if not handed:
        sys.exit(f"{folder} is empty: expected the students' my_bn.py files")
    before = _fingerprint()
    judge_all(handed, jobs, seconds, memory)
    write_tables(handed, out)
    passed = sum(len(h.passed) for h in handed)
    print(f"{len(handed)} files, {passed} functions passed: {out / 'results.html'} and two .csv")
    for h in handed:
        if h.trouble:
            print(_plain(f"{h.file}: {h.trouble}"))
    if before != _fingerprint():
        sys.exit(
            "While the files ran, bnlib's own files on this machine were changed. Do not use these "
            "results: install bnlib anew, look for the file that did it, and see the help."
        )


def _fingerprint() -> str:
    """Of all files in bnlib, by which a change is found."""
    found = hashlib.sha256()
    for path in sorted(Path(bnlib.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".toml", ".json", ".npz"):
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
