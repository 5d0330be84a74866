"""Read the sentences from the TOML files, and recognise mistakes by what they compute.

A mistake is an edit of the solution's source: what stands there, and what the mistaken student
wrote. Run on the probes, it gives the outputs by which it is recognised.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from .compare import Case, said_by
from .trial import Row, Trial

KEYS = {"id", "exercise", "say", "edit", "only_on"}


@dataclass(frozen=True)
class Mistake:
    """A wrong program with a name. The message names the mistake and ends with a question.

    only_on: recognise it by where it fails, not by its numbers: right on all probes except those
    with this tag (a loss of digits gives different digits in each program that suffers from it).
    """

    id: str
    message: str
    function: Callable = field(repr=False)
    only_on: str = ""


def read_texts(solution: Callable) -> dict:
    """hints, why and wrong (a sentence for an output) of an exercise: its table in its own file.

    A line break is a blank, but before a numbered step it stays. Raises ValueError if a part lacks.
    """
    file = Path(inspect.getfile(solution)).with_suffix(".toml")
    table = {"why": "", "wrong": {}} | _read(file).get(solution.__name__, {})
    if len(table.get("hints", ())) != 3:
        raise ValueError(f"{file.name}, [{solution.__name__}]: expected three hints")
    return {
        "hints": [re.sub(r"\n(?!\d\. )", " ", hint.strip()) for hint in table["hints"]],
        "why": _flowing(table["why"]),
        "wrong": {name: _flowing(said) for name, said in table["wrong"].items()},
    }


def read_mistakes(solution: Callable, feature: str = "feature") -> list[Mistake]:
    """The mistakes that name this solution, in all TOML files of its folder, its own file first.

    Raises ValueError, with file and id, if an entry cannot be used.
    """
    home = Path(inspect.getfile(solution))
    files = sorted(home.parent.glob("*.toml"), key=lambda file: (file.stem != home.stem, file.stem))
    found: dict[str, Mistake] = {}
    for file, entry in ((f, entry) for f in files for entry in _read(f)["mistake"]):
        if solution.__name__ not in entry.get("exercise", ()):
            continue
        where = f"{file.name}, mistake {entry.get('id', '(without an id)')!r}"
        if KEYS - {"only_on"} - entry.keys() or entry.keys() - KEYS:
            raise ValueError(
                f"{where}: expected id, exercise, say and edit (and perhaps only_on), got "
                f"{', '.join(entry)}"
            )
        if entry["id"] in found:
            raise ValueError(f"{where}: {solution.__name__} has a mistake of that id already")
        try:
            function = edited(solution, entry["edit"])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        message = _flowing(entry["say"]).replace("{feature}", feature)
        found[entry["id"]] = Mistake(entry["id"], message, function, entry.get("only_on", ""))
    return list(found.values())


@cache
def _read(file: Path) -> dict:
    try:
        return {"mistake": []} | tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file.name} is no valid TOML: {error}") from None


def _flowing(text: str) -> str:
    return " ".join(text.split())


def edited(solution: Callable, edits: dict[str, str]) -> Callable:
    """The function that the edited source defines, in the solution's own module.

    Raises ValueError if a text does not stand in the source, or if the result is no Python.
    """
    source = textwrap.dedent(inspect.getsource(solution))
    for old, new in edits.items():
        if old not in source:
            raise ValueError(f"{old!r} does not stand in {solution.__name__}:\n{source}")
        source = source.replace(old, new)
    space = dict(getattr(solution, "__globals__", None) or vars(sys.modules[solution.__module__]))
    try:
        exec(compile(source, f"<{solution.__name__}, edited>", "exec"), space)
    except SyntaxError as error:
        raise ValueError(f"the edited source is no Python: {error}\n{source}") from None
    return space[solution.__name__]


class Catalogue:
    """The mistakes of an exercise; evaluate(function, args) gives their outputs by name.

    hard: tag of a probe -> a function of the first failing Case that says whether the outputs go
    wrong there in the way that a mistake with `only_on = tag` does. Something else may fail there.
    """

    def __init__(self, mistakes: list[Mistake], evaluate: Callable, hard: dict[str, Callable]):
        self.mistakes, self._evaluate, self._hard = mistakes, evaluate, hard
        self._known: dict = {}

    def outputs(self, mistake: Mistake, row: Row) -> tuple[dict[str, np.ndarray] | None, set[str]]:
        """The outputs of a mistake on a row's probe (None: it raises), and those that are wrong."""
        key = mistake.id, row.probe.name, tuple(row.tol.values())
        if key not in self._known:
            found = self._evaluate(mistake.function, row.probe.args)
            wrong = {name for name in row.tol if not found or not row.right(name, found[name])}
            self._known[key] = found, wrong
        return self._known[key]

    def diagnose(
        self, trials: list[Trial], wrong: list[str], case: Case
    ) -> tuple[Mistake, list[str]] | None:
        """The mistake that explains the most of the wrong outputs, and these outputs.

        Of two that explain as many it is the first in the catalogue.
        """
        explained = [(m, self._explains(m, trials, wrong, case)) for m in self.mistakes]
        best = max(explained, key=lambda pair: len(pair[1]), default=(None, []))
        return best if best[1] else None

    def _explains(self, mistake: Mistake, trials, wrong, case) -> list[str]:
        """The outputs that the mistake makes wrong, if the student's equal them; else none."""
        if mistake.only_on:  # elsewhere it may cost a digit or two, in float32 more
            tag = mistake.only_on
            failed = [t for t in trials if t.failed and tag not in t.probe.tags]
            there = all(t.row.single or t.nearly_right for t in failed)
            return wrong if there and said_by(self._hard[tag], case) else []
        trials = [t for t in trials if not t.probe.tag and not t.probe.may_raise]
        affected: set[str] = set()
        for trial in trials:  # most mistakes are ruled out by the first probe
            theirs, names = self.outputs(mistake, trial.row)
            affected |= names
            if not trial.equals(theirs, affected):
                return []
        # An output may turn out to be affected on a later probe only: so compare all once more.
        alike = all(t.equals(self.outputs(mistake, t.row)[0], affected) for t in trials)
        return [n for n in wrong if n in affected] if alike else []
