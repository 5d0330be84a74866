"""The sentences of a check's message that are the same for all exercises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .call import text_of
from .trial import Row, Trial


def before(bad: Trial, first: Trial) -> str:
    """What is known of the designed probe, where the fault that is told is on another."""
    if bad is first:
        return ""
    state, but = ("wrong already", "And on another input") if first.failed else ("right", "But")
    return f"Your function is {state} for {first.probe.name}. {but}:\n"


def call(name: str, trial: Trial) -> str:
    """The call with the dtype and shape of each argument."""
    args = trial.probe.args
    shapes = [
        f"{k} {v.dtype} {v.shape}" if isinstance(v, np.ndarray) else f"{k} = {v:g}"
        for k, v in args.items()
    ]
    return f"{name}({', '.join(args)}) with {', '.join(shapes)}"


def and_list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def other_outputs(returns: Sequence[str], wrong: Sequence[str], named: Sequence[str]) -> str:
    """Those that what was said does not speak of (named): they may be wrong because of those."""
    said = []
    for names, then in (
        ([n for n in wrong if n not in named], "wrong too: look again once this is right."),
        ([n for n in returns if n not in wrong], "right."),
    ):
        if names:
            said.append(f"{and_list(names)} {'is' if len(names) == 1 else 'are'} {then}")
    return "\n".join(said)


def agreement(returns: Sequence[str], trials: list[Trial], rows: list[Row]) -> str:
    """On how many test inputs they agree. Those that do not fit into a float32 were left out."""
    agree, missing = "agree" if len(returns) > 1 else "agrees", len(rows) - len(trials)
    count = f"{len(trials)} of {len(rows)}" if missing else f"all {len(rows)}"
    said = (
        f"{and_list(returns) or 'It'} {agree} with the reference on {count} test inputs, among "
        f"them {trials[1].probe.name}."
    )
    if missing:
        said += (
            f"\nNot counted: {missing} of {len(rows)} test inputs, whose large means do not fit "
            "into a float32."
        )
    return said


def where(trials: list[Trial], rows: list[Row]) -> str:
    """On which probes the function is right: often the pointer to the fault."""
    right = [t for t in trials if not t.failed]
    wrong = [t.probe.name for t in trials if t.failed]
    tried = "test inputs" if len(trials) == len(rows) else "inputs tried"  # the small ones
    if not right:
        return "It is wrong on every input tried."
    if right[0] is not trials[0] and len(wrong) > 3:
        return f"It is wrong on {len(wrong)} of {len(trials)} {tried}."
    return (
        f"It is right on {len(right)} of {len(trials)} {tried}, among them {right[0].probe.name}, "
        f"but wrong for {'; '.join(wrong[:3])}{'; ...' if len(wrong) > 3 else '.'}"
    )


def hard(trials: list[Trial]) -> str:
    """What to look for where only the numerically hard probes fail."""
    tags = {tag for t in trials if t.failed for tag in t.probe.tags}
    if tags <= {"large mean", "rather large mean", "unequal means"}:
        return (
            "Only large means are a problem: are digits lost, is something cut off, or is "
            "something compared with a relative tolerance, as np.isclose and np.allclose do?"
        )
    if tags == {"large z"}:
        return (
            "Only large z are a problem: does something overflow there, is something left out, or "
            "is a number compared with 0 or 1 that only rounding has made 0 or 1?"
        )
    return ""


def observed(trial: Trial) -> str:
    """What the call printed and warned."""
    lines, said = text_of(trial.attempt.printed, 1000).splitlines(), []
    if lines:
        more = ["(more lines)"] if len(lines) > 10 else []
        said += ["Your code printed in the first call:", *lines[:10], *more]
    if warned := trial.attempt.warned:
        said.append("Your code caused a warning in the first call: " + "; ".join(warned))
    return "\n".join(said)


def no_array(returns: Sequence[str], trial: Trial) -> str:
    """Which outputs are right, but lists or the like: a shape is asked of them later."""
    value = trial.attempt.value
    parts = zip(returns, [value] if len(returns) == 1 else value, strict=True)
    odd = {n: type(v).__name__ for n, v in parts if np.ndim(v) and type(v) is not np.ndarray}
    if not odd:
        return ""
    return (
        f"Of type {' and '.join(dict.fromkeys(odd.values()))}: {and_list([*odd])}. The numbers are "
        "right, but later code may ask for the shape of an array: `np.asarray` makes one."
    )


def precision(trials: list[Trial], single: bool) -> str:
    """Which dtype comes out."""
    if single:
        first = trials[0].outputs.values()
        returns = all(v.dtype == np.float32 for v in first)
        word = "returns" if returns else "calculates in"
        return f"It {word} float32 also where its input is float64: right to about 7 digits."
    arrays = [v for t in trials if t.probe.single for v in t.outputs.values() if v.ndim]
    kinds = {str(v.dtype) for v in arrays}  # a single number has no dtype to keep
    said = f"For float32 input it returns {' and '.join(sorted(kinds))}." if kinds else ""
    if "float64" in kinds:
        said += (
            " That is right, but slower: `.astype` to the input's dtype, for what you return or "
            "what you compute with, keeps a float32 network in float32."
        )
    return said
