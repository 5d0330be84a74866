"""One call of a student's function on one probe, compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .compare import close, failing_entry, index, numbers
from .contract import Attempt, Problem, attempt, read_outputs
from .probes import Probe


@dataclass(frozen=True)
class Row:
    """A probe with the expected outputs by name.

    single: the allowed errors of those outputs that are judged as a float32 calculation.
    """

    probe: Probe
    expected: dict[str, np.ndarray]
    single: dict[str, float] = field(default_factory=dict)

    def in_single(self, tolerances: dict[str, float]) -> Row:
        """The same, with these outputs judged as a float32 calculation (see precision.py)."""
        single = {name: max(tol, self.probe.tol) for name, tol in tolerances.items()}
        probe = replace(self.probe, tol=max([self.probe.tol, *single.values()]))
        return Row(probe, self.expected, {n: self.probe.tol for n in self.expected} | single)

    def right(self, name: str, value: np.ndarray) -> bool:
        """Is value the expected one, within the error that is allowed for that output?"""
        return close(value, self.expected[name], self.single.get(name, self.probe.tol))


@dataclass
class Trial:
    """What the student's function did on a row's probe."""

    row: Row
    attempt: Attempt
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    problem: Problem | None = None
    wrong: tuple[str, ...] = ()  # names of the outputs that are wrong or missing

    @property
    def probe(self) -> Probe:
        return self.row.probe

    @property
    def failed(self) -> bool:
        """Something is wrong, and it is not a refusal of the input where that is sensible."""
        refused = isinstance(self.attempt.error, ValueError | AssertionError)
        return bool(self.wrong) and not (self.probe.may_raise and refused)

    @property
    def interrupted(self) -> bool:
        """Ended by an interrupt or exit(): better not to call the function again."""
        return self.attempt.error is not None and not isinstance(self.attempt.error, Exception)

    def equals(self, theirs: dict | None, names) -> bool:
        """Are the outputs in names those of another function (None: it raises an exception)?"""
        if theirs is None or self.attempt.error is not None:
            return theirs is None and self.attempt.error is not None
        # Other roundings than ours; that it is not the right function is known already.
        tol = 2e-3 if self.row.single else max(10 * self.probe.tol, 1e-7)
        return all(n in self.outputs and close(self.outputs[n], theirs[n], tol) for n in names)

    def returned_arrays(self, returns) -> dict[str, np.ndarray]:
        """The arrays themselves that the call returned, by name (outputs holds copies)."""
        if not self.outputs:
            return {}
        values = [self.attempt.value] if len(returns) == 1 else self.attempt.value
        named = zip(returns, values, strict=True)
        return {n: v for n, v in named if n in self.outputs and isinstance(v, np.ndarray)}

    def overwritten(self, returns) -> np.ndarray | None:
        """A returned array that later calls have overwritten."""
        for name, value in self.returned_arrays(returns).items():
            now = np.asarray(value, np.float64)
            if not close(np.asarray(self.outputs[name], np.float64), now, 0.0):
                return value
        return None


def run(function, row: Row, returns: tuple[str, ...]) -> Trial:
    """Call function on the row's probe and compare."""
    trial = Trial(row, attempt(function, row.probe.args), wrong=returns)
    if trial.attempt.error is not None:
        return trial
    trial.outputs, trial.problem = read_outputs(trial.attempt.value, returns, row.expected)
    trial.wrong = tuple(
        name
        for name in returns
        if name not in trial.outputs or not row.right(name, trial.outputs[name])
    )
    if trial.problem and not trial.wrong:  # the right numbers in a wrong form
        trial.wrong = returns
    return trial


def unsound(
    function, trials: list[Trial], returns: tuple[str, ...], earlier: list[Trial]
) -> Problem | None:
    """Changed arguments, one array for all answers, another answer to the same question.

    earlier: the same calls, made before.
    """
    for trial in trials:
        if trial.attempt.changed:
            names = trial.attempt.changed
            name = names[0]
            several = "s" * (len(names) > 1)
            return Problem(
                "modifies-input",
                f"Your function changes its argument{several} {' and '.join(names)} in place, for "
                f"{trial.probe.name}: "
                f"after the call the caller's array holds other numbers. Which line writes into "
                f"{name}? (`{name} -= ...` writes into the array, `{name} = {name} - ...` makes a "
                "new one.)",
            )
    for trial in trials:
        array = trial.overwritten(returns)
        if array is not None:
            return Problem(
                "shared-output",
                f"The array that your function returned for {trial.probe.name} was overwritten by "
                f"later calls: {_sharing(array, trials, returns)} share one array. Where is it "
                "created?",
            )
    calls = {trial.probe.name: trial for trial in trials}
    again = run(function, trials[0].row, returns)
    for old, new in [(t, calls.get(t.probe.name)) for t in earlier] + [(trials[0], again)]:
        for name, before in old.outputs.items() if new else ():
            after = new.outputs.get(name)
            if after is None or not close(after, before, new.row.single.get(name, 1e-12)):
                return Problem(
                    "not-deterministic",
                    "Called again with the same arguments, your function gives another answer."
                    f"{_two_answers(name, before, after)} Does it draw random numbers, or keep "
                    "something between calls?",
                )
    return None


def _sharing(array, trials, returns) -> str:
    """Which calls returned this very array."""
    results = [t.returned_arrays(returns).values() for t in trials]
    alike = [any(a.shape == array.shape for a in arrays) for arrays in results]
    shared = [any(np.may_share_memory(a, array) for a in arrays) for arrays in results]
    if all(shared):
        return f"all {len(trials)} calls"
    return "calls with the same shape" if shared == alike else f"{sum(shared)} of the calls"


def _two_answers(name, before, after) -> str:
    if after is None or after.shape != before.shape:
        return ""
    at = failing_entry(after, before)
    first, second = numbers(before[at], after[at])
    return f" {name}{index(at)} was {first} the first time and is now {second}."
