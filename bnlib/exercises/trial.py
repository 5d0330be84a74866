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

    def returned_arrays_changed(self, returns) -> bool:
        """Have later calls overwritten what this call returned?"""
        if not self.outputs:
            return False
        values = [self.attempt.value] if len(returns) == 1 else self.attempt.value
        return any(
            isinstance(value, np.ndarray)
            and name in self.outputs
            and not close(np.float64(self.outputs[name]), np.asarray(value, np.float64), 0.0)
            for name, value in zip(returns, values, strict=True)
        )


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


def unsound(function, trials: list[Trial], returns: tuple[str, ...]) -> Problem | None:
    """Changed arguments, one array for all answers, another answer to the same question."""
    for trial in trials:
        if trial.attempt.changed:
            names = " and ".join(trial.attempt.changed)
            name = trial.attempt.changed[0]
            return Problem(
                "modifies-input",
                f"Your function changes its argument {names} in place, for {trial.probe.name}: "
                f"after the call the caller's array holds other numbers. Which line writes into "
                f"{name}? (`{name} -= ...` writes into the array, `{name} = {name} - ...` makes a "
                "new one.)",
            )
    if trials[0].returned_arrays_changed(returns):
        return Problem(
            "shared-output",
            "The array that your function returned first was overwritten by later calls: all "
            f"{len(trials)} calls share one array. Where is it created?",
        )
    again = run(function, trials[0].row, returns)
    for name, before in trials[0].outputs.items():
        after = again.outputs.get(name)
        if after is None or not close(after, before, 1e-12):
            return Problem(
                "not-deterministic",
                "Called again with the same arguments, your function gives another answer."
                f"{_two_answers(name, before, after)} Does it draw random numbers, or keep "
                "something between calls?",
            )
    return None


def _two_answers(name, before, after) -> str:
    if after is None or after.shape != before.shape:
        return ""
    at = failing_entry(after, before)
    first, second = numbers(before[at], after[at])
    return f" {name}{index(at)} was {first} the first time and is now {second}."
