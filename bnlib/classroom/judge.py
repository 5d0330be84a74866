"""Judge one handed-in file: its code runs in a process of its own, the judgement is made here.

There (student.py) the checks are made first: they know more about a function than its numbers (does
it change its arguments? which mistake is it?), and a bad result is believed. A good one is not: the
process also records what the function answered, call by call, and here the same check is made again
with these answers. So a file can neither print a result nor replace the check. For each input, in
each call, it has to give the right numbers.

It cannot protect against code that gives the right numbers because it calls bnlib's own functions
(what a file imports from bnlib is listed) or looks up what the check expects, nor against an attack
on the machine: the file has the rights of whoever runs this, so it can end processes, those of
files that are judged at the same time too, read and write files, use the network. Where students
are not to be trusted so far, run it in a container, as a user of its own.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import json
import os
import re
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bnlib.exercises import Exercise, available

START = 60  # seconds until a process has started, on a machine that is busy with others
TIMES = 3  # what all functions of a file may take, in terms of what one may
LONGEST = 8_000_000  # bytes about one function; the most that a right one needs is a tenth of it
RUN = "from bnlib.classroom.student import main; main()"
REFUSALS = {kind.__name__: kind for kind in (ValueError, AssertionError, TypeError)}


@dataclass(frozen=True)
class Verdict:
    """On one function. outcome: one of a card's, or "suspicious", "too long", "ended",
    "not judged".  mistake: its id, or "".  said: a sentence; it may quote the student's process.
    """

    outcome: str
    mistake: str = ""
    said: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.mistake}" if self.mistake else self.outcome


@dataclass
class Handed:
    """One file that was handed in.  text: its bytes; None if there is nothing to judge.

    trouble: why none of it could be judged, or "".  verdicts: by the exercise's name.  takes: what
    it imports from bnlib, as far as its text says so.
    """

    student: str
    file: str
    text: bytes | None
    trouble: str = ""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    takes: tuple[str, ...] = ()

    @property
    def passed(self) -> list[str]:
        """The exercises whose functions are correct."""
        return [n for n, verdict in self.verdicts.items() if verdict.outcome == "correct"]


class Lost(Exception):
    """The student's process gives no answer, or none of ours. outcome: what the verdict is then."""

    def __init__(self, outcome: str, said: str):
        super().__init__(said)
        self.outcome = outcome


def judge(handed: Handed, seconds: float, memory: int) -> Iterator[None]:
    """Run the checks on the file and fill in what comes out. Yields whenever it has to wait.

    seconds: for one function; three times as much for all.  memory: bytes, for its process.
    """
    end, verdicts, names = time.monotonic() + TIMES * seconds, handed.verdicts, None
    handed.takes = imports_from_bnlib(handed.text)
    while names is None or len(verdicts) < len(names):
        if names and time.monotonic() > end:
            over = Verdict("not judged", said=f"The {TIMES * seconds:g} s for one file were over.")
            verdicts.update((name, over) for name in names if name not in verdicts)
            break
        with _process(handed.text, TIMES * seconds, memory, [*verdicts]) as answer:
            try:
                yield from answer("started", START)
                loaded = yield from answer("my_bn", seconds)
                if "trouble" in loaded:
                    handed.trouble = f"cannot be imported: {loaded['trouble']}"[:300]
                    return
                if not isinstance(loaded.get("names"), list):
                    raise _garbled()
                names = [name for name in available if name in loaded["names"]]
                for name in names:
                    if name not in verdicts and time.monotonic() < end:
                        record = yield from answer(name, seconds)
                        verdicts[name] = _verdict(available[name], record)
            except Lost as lost:
                if names is None:
                    handed.trouble = f"{lost} when it was imported"
                    return
                name = next(name for name in names if name not in verdicts)
                verdicts[name] = Verdict(lost.outcome, said=f"Its process {lost}.")
    if not names:
        handed.trouble = "defines none of the exercises"


@contextlib.contextmanager
def _process(text: bytes, seconds: float, memory: int, done: list[str]):
    """Run the file, but for the functions that are done. Gives answer(name, seconds), which waits.

    What the process has to say about a name stands in a file of that name, complete once it is
    there. In any case the process is ended, with all that it has started in its group.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder, "my_bn.py").write_bytes(text)
        environment = {
            **{k: os.environ[k] for k in ("PATH", "SYSTEMROOT") if k in os.environ},
            **dict.fromkeys(("HOME", "TMPDIR", "TEMP", "MPLCONFIGDIR"), folder),
            "PYTHONUSERBASE": site.getuserbase(),  # where `pip install --user` went, not from HOME
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        limits = str(int(memory)), str(int(seconds) + 5)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", RUN, *limits, *done],
            **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL),
            cwd=folder,
            env=environment,
            start_new_session=True,  # so that one signal ends all that the file has started
        )
        groups = [process.pid]

        def answer(name: str, seconds: float):
            path, until = os.path.join(folder, f"{name}.json"), time.monotonic() + seconds
            while not os.path.exists(path):
                code = process.poll()
                if code is not None and not os.path.exists(path):
                    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
                    raise Lost("ended", f"ended by itself ({how})")
                if time.monotonic() > until:
                    raise Lost("too long", f"gave no answer within {seconds:g} s")
                yield
            with contextlib.suppress(Exception):
                # It may be a pipe by now, where nobody writes, or a device without an end.
                with open(path, "rb", opener=_without_waiting) as file:
                    found = json.loads(file.read(LONGEST))
                if isinstance(found, dict):
                    if name == "started":  # the child, should it leave the group
                        groups.append(int(found["pid"]))
                    return found
            raise _garbled()

        try:
            yield answer
        finally:
            for group in groups if hasattr(os, "killpg") else ():
                with contextlib.suppress(OSError, OverflowError):
                    os.killpg(group, signal.SIGKILL)
            process.kill()
            process.wait()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _garbled() -> Lost:
    return Lost("suspicious", "wrote something else than answers where these go")


def _verdict(exercise: Exercise, record: dict) -> Verdict:
    """What the process says, where it speaks against itself; else what its answers are worth."""
    try:
        outcome, mistake, said = map(str, record["claim"])
        answers = iter(record["answers"])
    except Exception:
        raise _garbled() from None
    if outcome != "correct":
        known = re.fullmatch(r"[a-z0-9-]{1,60}", mistake)
        outcome = outcome if outcome in ("not attempted", "error", "not yet") else "error"
        return Verdict(outcome, mistake if known else "", said[:1000])

    def replay(*args):
        calls, value, error = next(answers)
        for at, given, named in calls:  # of a function among the arguments: it may count them
            with contextlib.suppress(Exception):
                given = decode(given)
                named = {name: decode(coded) for name, coded in named.items()}
                if not any(map(np.ndim, (*given, *named.values()))):  # as it is recorded
                    args[at](*given, **named)
        if error:
            raise REFUSALS.get(error, RuntimeError)(value)
        return decode(value)

    again = copy.copy(exercise)
    if isinstance(exercise.answer, type):  # it is adapted there, see student.py
        again.adapt = lambda function: function if function is replay else exercise.adapt(function)
    result = again.judge(replay)
    if result.passed:
        return Verdict("correct")
    return Verdict(
        "suspicious",
        said="In its own process the check is passed, with the numbers that its function returns "
        f"it is not. Forged, or a function that depends on where it runs. {result.message}"[:1000],
    )


def encode(value: object) -> object:
    """What json can write: plain values, arrays of numbers, tuples and lists of these.

    Of what is not one of these, the numbers that NumPy sees in it; else its type's name.
    """
    if isinstance(value, tuple):
        return [encode(part) for part in value]
    if isinstance(value, list):
        return {"list": [encode(part) for part in value]}
    if value is None or isinstance(value, bool | int | str) or type(value) is float:
        return value
    with contextlib.suppress(Exception):  # its __array__ may be the student's
        array = np.asarray(value)
        if array.dtype.kind in "biuf" and array.nbytes < LONGEST / 2:
            data = base64.b64encode(array.tobytes()).decode("ascii")
            return {"array": data, "dtype": array.dtype.str, "shape": array.shape}
    return f"<{type(value).__name__}>"


def decode(coded: object) -> object:
    """The value again, an array without axes as a number.

    Raises ValueError, KeyError or TypeError for what `encode` does not write. It runs no code.
    """
    if isinstance(coded, list):
        return tuple(map(decode, coded))
    if not isinstance(coded, dict):
        return coded
    if "list" in coded:
        return [*map(decode, coded["list"])]
    data = base64.b64decode(coded["array"], validate=True)
    array = np.frombuffer(data, coded["dtype"])  # which refuses a dtype of objects
    return array.reshape(coded["shape"]).copy()[()]


def imports_from_bnlib(text: bytes) -> tuple[str, ...]:
    """The names that the text imports from bnlib, dotted and sorted; none if it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return tuple(sorted(name for name in names if name.partition(".")[0] == "bnlib"))
