"""The sentences of a check's message that are the same for all exercises."""

from __future__ import annotations

import numpy as np

from .contract import text_of
from .trial import Trial


def on(trial: Trial) -> str:
    return f"for {trial.probe.name}"


def call(name: str, trial: Trial) -> str:
    """The call with the dtype and shape of each argument."""
    args = trial.probe.args
    shapes = [
        f"{k} {v.dtype} {v.shape}" if isinstance(v, np.ndarray) else f"{k} = {v:g}"
        for k, v in args.items()
    ]
    return f"{name}({', '.join(args)}) with {', '.join(shapes)}"


def and_list(names) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def right_outputs(returns, wrong) -> str:
    right = [name for name in returns if name not in wrong]
    return f"{and_list(right)} {'is' if len(right) == 1 else 'are'} right." if right else ""


def total(trials: list[Trial], count: int) -> str:
    """All 80 (test inputs), or 78 of 80 where some were left out."""
    return f"all {count}" if len(trials) == count else f"{len(trials)} of {count}"


def left_out(trials: list[Trial], count: int) -> str:
    """Why some of the test inputs do not count for a calculation in float32."""
    rest = count - len(trials)
    if not rest:
        return ""
    return (
        f"{rest} of {count} test inputs, with large means, do not fit into a float32 and are not "
        "counted."
    )


def where(trials: list[Trial], count: int) -> str:
    """On which probes the function is right: often the pointer to the fault."""
    right = [t for t in trials if not t.failed]
    wrong = [t for t in trials if t.failed]
    if not right:
        return f"It is wrong on {total(trials, count)} test inputs."
    named = "; ".join(t.probe.name for t in wrong[:3]) + ("; ..." if len(wrong) > 3 else ".")
    if right[0] is trials[0] or len(wrong) <= 3:
        return (
            f"It is right on {len(right)} of {count} test inputs, among them "
            f"{right[0].probe.name}, but wrong for {named}"
        )
    return f"It is wrong on {len(wrong)} of {count} test inputs."


def observed(trial: Trial) -> str:
    """What the call printed and warned."""
    done, said = trial.attempt, []
    if done.printed.strip():
        lines = text_of(done.printed, 1000).splitlines()
        more = ["(more lines)"] if len(lines) > 10 else []
        said += ["Your code printed in the first call:", *lines[:10], *more]
    if done.warned:
        said.append("Your code caused a warning in the first call: " + "; ".join(done.warned))
    return "\n".join(said)


def precision(trials: list[Trial], single: bool) -> str:
    """Which dtype comes out."""
    if single:
        first = trials[0].outputs.values()
        returns = all(v.dtype == np.float32 for v in first)
        word = "returns" if returns else "calculates in"
        return f"It {word} float32 also where its input is float64: right to about 7 digits."
    kinds = {str(v.dtype) for t in trials if t.probe.single for v in t.outputs.values()}
    return f"For float32 input it returns {' and '.join(sorted(kinds))}." if kinds else ""
