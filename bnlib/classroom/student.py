"""The process in which a handed-in file runs: `python -m bnlib.classroom.student`.

It reads requests from its stdin and answers on its stdout, lines of wire.py. The file's code can do
here whatever it likes: what it answers is only believed where it speaks against itself (judge.py).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from bnlib.classroom.wire import decode, encode, read, write
from bnlib.exercises import available
from bnlib.exercises.engine.call import text_of


def main() -> None:
    """Answer requests until there are no more. Arguments: bytes of memory, seconds of processor."""
    memory, seconds = map(int, sys.argv[1:])
    requests, answers = (os.fdopen(os.dup(fd), mode) for fd, mode in ((0, "rb"), (1, "wb")))
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # what the file prints, and what it asks for, goes nowhere
        os.dup2(nothing, fd)
    _limit(memory, seconds)
    module = None
    write(answers, {"started": True})
    while True:
        try:
            request = read(requests)
        except EOFError:
            return
        if "load" in request:
            module, answer = _load(Path(request["load"]))
        elif "judge" in request:
            name = request["judge"]
            result = available[name].judge(getattr(module, name))
            answer = {"claim": [result.outcome, result.diagnosis or "", text_of(result.message)]}
        else:
            answer = _call(module, request, requests, answers)
        write(answers, answer)


def _limit(memory: int, seconds: int) -> None:
    """So much memory and processor time, no other process, no large file; where there is such."""
    try:
        import resource
    except ImportError:  # Windows: the judge's clock is all there is
        return
    limits = {"RLIMIT_AS": memory, "RLIMIT_CPU": seconds, "RLIMIT_NPROC": 0, "RLIMIT_FSIZE": 10**7}
    for name, most in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (ValueError, OSError):  # macOS has a name for a limit of memory, and no limit
            pass


def _load(path: Path):
    spec = importlib.util.spec_from_file_location("my_bn", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_bn"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit too
        return None, {"trouble": f"{type(error).__name__}: {text_of(error, 200)}"}
    return module, {"names": [name for name in available if hasattr(module, name)]}


def _call(module, request: dict, requests, answers) -> dict:
    """The function's answer to the arguments. Functions among these are called in the judge."""

    def there(number):
        def call(*args):
            write(answers, {"back": number, "args": encode(args)})
            reply = read(requests)
            if "error" in reply:
                raise ValueError(reply["error"])
            return decode(reply["value"])

        return call

    name = request["call"]
    function = getattr(module, name)
    if isinstance(function, type):  # a class stays here; what it does on arrays goes over
        function = available[name].adapt(function)
    try:
        return {"value": encode(function(*decode(request["args"], there)))}
    except BaseException as error:
        refuses = isinstance(error, ValueError | AssertionError)  # may be a sensible answer
        return {"error": text_of(error, 200), "refuses": refuses}


if __name__ == "__main__":
    main()
