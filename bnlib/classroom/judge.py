"""Judge one handed-in file: its code runs in a process of its own, the judgement is made here.

The student's process is asked twice. First it makes the check itself, which knows more about a
function than its numbers (does it change its arguments? which mistake is it?); a bad answer is
believed. A good one is not: the same check runs here, with only the arguments and the answers
going over, so the file can neither print a result nor replace the check. For each input, in each
call, it has to give the right numbers.

It cannot protect against code that gives the right numbers because it calls bnlib's own functions
(what a file imports from bnlib is listed), nor against an attack on the machine: the file has the
rights of whoever runs this, so it can end processes, those of files that are judged at the same
time too, read and write files, use the network. Where students are not to be trusted so far, run it
in a container, as a user of its own.
"""

from __future__ import annotations

import ast
import contextlib
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bnlib.classroom.wire import decode, encode, read, write
from bnlib.exercises import Exercise, available

START = 60  # seconds until a process has started, on a machine that is busy with others
TIMES = 3  # what all functions of a file may take, in terms of what one may
OUTCOMES = ("not attempted", "error", "not yet", "correct")


@dataclass(frozen=True)
class Verdict:
    """On one function. outcome: one of a card's, or "suspicious", "too long", "ended",
    "not judged".  mistake: its id, or "".  said: a sentence; it may quote the student's process.
    """

    outcome: str
    mistake: str = ""
    said: str = ""


@dataclass(frozen=True)
class Judged:
    """On one file. trouble: why none of it could be judged, or "".  verdicts: by the exercise's
    name.  takes: what the file imports from bnlib, as far as its text says so.
    """

    trouble: str = ""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    takes: tuple[str, ...] = ()


class Lost(Exception):
    """The student's process gives no answer any more. outcome: what the verdict is then."""

    def __init__(self, outcome: str, said: str):
        super().__init__(said)
        self.outcome = outcome


def judge(text: bytes, seconds: float, memory: int) -> Judged:
    """Run the checks on the content of a my_bn.py.

    seconds: for one function; three times as much for all.  memory: bytes, for its process.
    """
    end = time.monotonic() + TIMES * seconds
    takes = imports_from_bnlib(text)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "my_bn.py")
        path.write_bytes(text)
        student, verdicts = Student(path, seconds, memory), {}
        try:
            try:
                names = student.load()
            except Lost as lost:
                return Judged(f"{lost} when it was imported", takes=takes)
            if isinstance(names, str):
                return Judged(f"cannot be imported: {names}", takes=takes)
            for name in names:
                if time.monotonic() > end:
                    said = f"The {TIMES * seconds:g} s for one file were over."
                    verdicts[name] = Verdict("not judged", said=said)
                    continue
                try:
                    if student.lost:
                        student.close()
                        student = Student(path, seconds, memory)
                        student.load()
                    verdicts[name] = _verdict(student, available[name])
                except Lost as lost:
                    verdicts[name] = Verdict(lost.outcome, said=f"Its process {lost}.")
        finally:
            student.close()
    return Judged("" if verdicts else "defines none of the exercises", verdicts, takes)


def _verdict(student: Student, exercise: Exercise) -> Verdict:
    claim = student.ask({"judge": exercise.name}).get("claim")
    try:
        outcome, mistake, said = map(str, claim)
    except (TypeError, ValueError):
        raise student.garbled() from None
    if outcome != "correct":
        known = re.fullmatch(r"[a-z0-9-]{1,60}", mistake)
        outcome = outcome if outcome in OUTCOMES else "error"
        return Verdict(outcome, mistake if known else "", said[:1000])

    def remote(*args):
        return student.call(exercise.name, args)

    adapt = exercise.adapt
    if isinstance(exercise.answer, type):  # it is adapted there, see student.py
        exercise.adapt = lambda function: function if function is remote else adapt(function)
    student.begin()
    try:
        result = exercise.judge(remote)
    finally:
        exercise.adapt = adapt
    if student.lost:
        raise student.lost
    if result.passed:
        return Verdict("correct")
    return Verdict(
        "suspicious",
        said="In its own process the check is passed, with the numbers that its function returns "
        f"it is not. Forged, or a function that depends on where it runs. {result.message}"[:1000],
    )


class Student:
    """The process of a file; it is asked, and has to answer in time."""

    def __init__(self, path: Path, seconds: float, memory: int):
        self.path, self.seconds = path, seconds
        self.lost: Lost | None = None
        folder = str(path.parent)
        kept = {k: os.environ[k] for k in ("PATH", "SYSTEMROOT") if k in os.environ}
        environment = {
            **kept,
            **dict.fromkeys(("HOME", "TMPDIR", "TEMP", "MPLCONFIGDIR"), folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        limits = int(memory), int(TIMES * seconds) + 5
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bnlib.classroom.student", *map(str, limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
        )
        self.lines: queue.Queue = queue.Queue(2)  # so that a flood of answers waits in the pipe
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self.until = time.monotonic() + START

    def begin(self) -> None:
        """From now on it has its seconds."""
        self.until = time.monotonic() + self.seconds

    def load(self) -> list[str] | str:
        """The names of the exercises that the file defines; or why it cannot be imported."""
        self._answer()  # it has started
        answer = self.ask({"load": str(self.path)})
        if "trouble" in answer:
            return str(answer["trouble"])[:300]
        names = answer.get("names")
        if not isinstance(names, list):
            raise self.garbled()
        return [name for name in available if name in names]

    def ask(self, request: dict) -> dict:
        """Its answer, within the seconds that a request has. Raises Lost if there is none."""
        self.begin()
        return self._exchange(request)

    def call(self, name: str, args: tuple) -> object:
        """What its function returns. What it raises is a ValueError here, or a RuntimeError."""
        functions: list = []
        answer = self._exchange({"call": name, "args": encode(args, functions)})
        while "back" in answer:
            try:
                given = decode(answer["args"])
                reply = {"value": encode(functions[answer["back"]](*given))}
            except Exception as error:
                reply = {"error": str(error)[:300]}
            answer = self._exchange(reply)
        if "error" in answer:
            raise (ValueError if answer.get("refuses") else RuntimeError)(str(answer["error"]))
        try:
            return decode(answer["value"])
        except Exception:
            raise self.garbled() from None

    def garbled(self) -> Lost:
        return self._lose("suspicious", "wrote something else than answers where these go")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.listener.join(1)
        if not self.listener.is_alive():  # else a process that it has left behind holds the pipe
            self.process.stdout.close()

    def _exchange(self, message: dict) -> dict:
        if self.lost:
            raise self.lost
        try:
            write(self.process.stdin, message)
        except OSError:
            pass  # it has ended: so says what is read
        return self._answer()

    def _answer(self) -> dict:
        try:
            answer = self.lines.get(timeout=max(0.0, self.until - time.monotonic()))
        except queue.Empty:
            raise self._lose("too long", f"gave no answer within {self.seconds:g} s") from None
        if isinstance(answer, dict):
            return answer
        if not isinstance(answer, EOFError | OSError):
            raise self.garbled()
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            raise self._lose("ended", "answers no more") from None
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        raise self._lose("ended", f"ended by itself ({how})")

    def _lose(self, outcome: str, said: str) -> Lost:
        self.lost = Lost(outcome, said)
        self.process.kill()
        return self.lost

    def _listen(self):
        """Reading can last: in a thread, so that the judge can stop waiting."""
        while True:
            try:
                self.lines.put(read(self.process.stdout))
            except (EOFError, OSError, ValueError, RecursionError) as error:
                self.lines.put(error)
                return


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
