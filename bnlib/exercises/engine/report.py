"""What has been passed, after how many checks, with which mistakes and hints on the way."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from .my_bn import kept

HEAD = ("exercise", "passed", "kept", "checks", "hints", "solution", "mistakes on the way")


class Done(NamedTuple):
    """One exercise: what was done since the kernel started, in words, in the order of HEAD.

    passed: "yes", "no", or "-" if nothing was tried.  kept: "yes" if my_bn.py holds it, from an
    earlier session too.  hints: the levels asked for.  mistakes: ids, in the order of their coming.
    """

    exercise: str
    passed: str
    kept: str
    checks: str
    hints: str
    solution: str
    mistakes: str


@dataclass(frozen=True)
class Report:
    """A table of the exercises that were begun; `save(path)` writes one of all into a file."""

    rows: tuple[Done, ...]

    @property
    def _begun(self) -> list[Done]:
        """Those of which something was tried, asked for or kept."""
        return [row for row in self.rows if {*row[1:]} != {"-", "0"}]

    @property
    def _others(self) -> str:
        others = [row.exercise for row in self.rows if row not in self._begun]
        return f"Not begun: {', '.join(others)}." if others else ""

    def __str__(self) -> str:
        table = [HEAD, *self._begun]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ("  ".join(t.ljust(w) for t, w in zip(row, widths)).rstrip() for row in table)
        return "\n".join(filter(None, [*lines, self._others]))

    __repr__ = __str__

    @property
    def html(self) -> str:
        """The table as HTML: words only, nothing is said by a colour."""
        head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
        body = "".join(
            f'<tr><th scope="row">{escape(first)}</th>'
            + "".join(f"<td>{escape(text)}</td>" for text in rest)
            + "</tr>"
            for first, *rest in self._begun
        )
        return (
            '<table class="bnlib-report"><caption>Exercises, since this kernel started</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{self._others}</p>"
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": str(self), "text/html": self.html}

    def save(self, path: str | os.PathLike) -> None:
        """Write the table as .csv, .html or .txt, by the ending of path.

        Raises ValueError for another ending, OSError if the file cannot be written.
        """
        path = Path(path)
        if path.suffix == ".csv":
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows([HEAD, *self.rows])
            text = out.getvalue()
        elif path.suffix == ".html":
            text = f'<!doctype html><meta charset="utf-8"><title>Exercises</title>{self.html}\n'
        elif path.suffix == ".txt":
            text = f"{self}\n"
        else:
            raise ValueError(
                f"expected a file name that ends in .csv, .html or .txt, got {path.name!r}"
            )
        path.write_text(text, encoding="utf-8")


def report(exercises: dict, folder: str | os.PathLike = ".") -> Report:
    """What was done since the kernel started, and what folder's my_bn.py holds."""
    in_file = kept(Path(folder) / "my_bn.py")
    return Report(tuple(_done(exercise, name in in_file) for name, exercise in exercises.items()))


def _done(exercise, is_kept: bool) -> Done:
    log = exercise.log
    tried = [r for kind, r in log if kind == "check" and r.outcome != "not attempted"]
    hints = sorted({level for kind, level in log if kind == "hint"})
    return Done(
        exercise.name,
        "yes" if any(r.passed for r in tried) else "no" if tried else "-",
        "yes" if is_kept else "-",
        str(len(tried)),
        ", ".join(map(str, hints)) or "-",
        "seen" if any(kind == "solution" for kind, _ in log) else "-",
        ", ".join(dict.fromkeys(r.diagnosis for r in tried if r.diagnosis)) or "-",
    )
