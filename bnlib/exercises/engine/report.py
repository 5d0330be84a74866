"""What has been passed, after how many checks, with which diagnoses and hints."""

from __future__ import annotations

import os
from pathlib import Path

from .card import Source

HEAD = ("exercise", "passed", "checks", "hints", "solution", "mistakes on the way")


def report(exercises: dict, file: str | os.PathLike | None = None) -> Source:
    """A table of what was done since the kernel started; also written into file, if one is given.

    Raises OSError if the file cannot be written.
    """
    table = [HEAD]
    for name, exercise in exercises.items():
        log = exercise.log
        hints = sorted({level for kind, level in log if kind == "hint"})
        checks = [result for kind, result in log if kind == "check"]
        tried = [r for r in checks if r.outcome != "not attempted"]
        named = dict.fromkeys(r.diagnosis for r in tried if r.diagnosis)
        table.append(
            (
                name,
                "yes" if any(r.passed for r in tried) else "no" if tried else "-",
                str(len(tried)),
                ", ".join(map(str, hints)) or "-",
                "seen" if any(kind == "solution" for kind, _ in log) else "-",
                ", ".join(named) or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*table)]
    rows = ["  ".join(t.ljust(w) for t, w in zip(row, widths)).rstrip() for row in table]
    text = "\n".join(rows)
    if file is not None:
        Path(file).write_text(text + "\n", encoding="utf-8")
    return Source(text, "Exercises")
