"""The process in which a handed-in file runs: it makes the checks, and records each answer.

The file's code can do here whatever it likes: what is written here is only believed where it speaks
against itself (judge.py).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import sys

import numpy as np

from bnlib.classroom.judge import REFUSALS, encode
from bnlib.exercises import Exercise, available
from bnlib.exercises.engine.call import text_of

FOLDER = os.getcwd()  # wherever the file goes


def main() -> None:
    """Check the functions of ./my_bn.py.

    Arguments: bytes of memory, seconds of processor, names of functions that are done already.
    """
    memory, seconds, *done = sys.argv[1:]
    _let_another_be_the_parent()
    _put("started", {"pid": os.getpid()})
    _limit(int(memory), int(seconds))
    spec = importlib.util.spec_from_file_location("my_bn", "my_bn.py")
    module = sys.modules["my_bn"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit too
        _put("my_bn", {"trouble": f"{type(error).__name__}: {text_of(error, 200)}"})
        return
    names = [name for name in available if hasattr(module, name)]
    _put("my_bn", {"names": names})
    for name in names:
        if name not in done:
            _put(name, _checked(available[name], getattr(module, name)))


def _put(name: str, answer: dict) -> None:
    """Write a file that is complete once it has its name."""
    path = os.path.join(FOLDER, name)
    with open(f"{path}.part", "w", encoding="ascii") as file:
        json.dump(answer, file)
    os.replace(f"{path}.part", f"{path}.json")


def _let_another_be_the_parent() -> None:
    """Go on in a child: a file that ends its parent then ends a process that does nothing else."""
    if hasattr(os, "fork") and (child := os.fork()):
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code)


def _limit(memory: int, seconds: int) -> None:
    """So much memory and processor time, no other process, no large file; where there is such."""
    try:
        import resource
    except ImportError:  # Windows: the judge's clock is all there is
        return
    limits = {"RLIMIT_AS": memory, "RLIMIT_CPU": seconds, "RLIMIT_NPROC": 0, "RLIMIT_FSIZE": 10**7}
    for name, most in limits.items():
        # Refused where the limit is lower already. macOS has a name for memory, and no limit.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


def _checked(exercise: Exercise, own: object) -> dict:
    """What the check says of the learner's own, and each answer that it gave.

    An answer: the calls of functions among the arguments, what came back, and which error if any.
    """
    answers, adapt = [], exercise.adapt

    def recorded(function):
        @functools.wraps(function, updated=())
        def answer(*args):
            calls = []

            def counted(position, given):
                def call(*values, **named):
                    if not any(map(np.ndim, (*values, *named.values()))):  # a bench counts them
                        coded = {name: encode(value) for name, value in named.items()}
                        calls.append((position, encode(values), coded))
                    return given(*values, **named)

                return call

            args = [counted(i, a) if callable(a) else a for i, a in enumerate(args)]
            try:
                value = function(*args)
            except BaseException as error:
                kind = next((k for k, v in REFUSALS.items() if isinstance(error, v)), "other")
                answers.append((calls, text_of(error, 200), kind))
                raise
            answers.append((calls, encode(value), ""))
            return value

        return answer

    given = own
    if isinstance(exercise.answer, type):  # it stays here: what it does on arrays is recorded
        exercise.adapt = lambda f: recorded(adapt(f)) if f is own else adapt(f)
    elif callable(own):
        given = recorded(own)
    result = exercise.judge(given)
    said = [result.outcome, result.diagnosis or "", text_of(result.message)]
    return {"claim": said, "answers": answers if result.passed else []}
