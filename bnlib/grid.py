"""A grid of training runs: in this process, in many, or on a cluster.

A run is one function call that depends on its arguments alone, so it does not matter where or in
which order the calls are made: the results are those of `bnlib.train`, to the bit on equal
machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Executor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from bnlib.data import Data, load_mnist
from bnlib.network import mlp
from bnlib.saving import load_arrays, save_arrays
from bnlib.training import LONG_RUN, accuracy, train
from bnlib.views import check_has, check_int

OF_NETWORK = ("norm", "activation", "init_scale", "norm_position", "seed", "dtype")
OF_TRAINING = ("steps", "lr", "batch_size", "momentum", "weight_decay")
LAST = 20  # the final loss is the mean over so many last batches
ARRAYS = {"loss": "f", "accuracy": "f", "diverged_at": "i", "done": "b"}  # name -> kind


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Results of a grid: one axis a setting, in the order of ``grid``, one entry a value.

        result.accuracy[result.at(norm="batch")]    # the part of the grid with batch norm

    ``stopped`` is None when all of it was done; otherwise it says why not, ``done`` says what there
    is, and ``sweep(..., resume=result)`` does the rest, also after `save` and `load`.
    """

    grid: dict[str, tuple]  # name -> values
    settings: dict  # what all runs share
    loss: np.ndarray  # mean of the last 20 training losses, in nats; inf where training diverged
    accuracy: np.ndarray  # on test images in evaluation mode, in [0, 1]; nan where it diverged
    diverged_at: np.ndarray  # the step, -1 where training did not diverge
    done: np.ndarray  # bool; elsewhere loss and accuracy are nan
    stopped: str | None = None

    def at(self, **values) -> tuple:
        """Index of the points where every named setting has the given value.

        Raises KeyError for a name that is not in the grid, ValueError for a value that is not.
        """
        if unknown := sorted(values.keys() - self.grid.keys()):
            raise KeyError(f"the grid has {list(self.grid)}, got {unknown}")
        for name, value in values.items():
            if value not in self.grid[name]:
                raise ValueError(f"the grid has {name} {list(self.grid[name])}, got {value!r}")
        return tuple(
            self.grid[name].index(values[name]) if name in values else slice(None)
            for name in self.grid
        )

    def save(self, path: str | Path) -> Path:
        """Write to ``path`` (.npz, added if it is missing); the old file or the new one stands.

        Returns the path of the file.
        """
        told = {"grid": self.grid, "settings": self.settings, "stopped": self.stopped}
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return save_arrays(path, arrays | {"told": np.array(json.dumps(told, default=str))})

    @classmethod
    def load(cls, path: str | Path) -> SweepResult:
        """Read what `save` wrote. Raises ValueError for a file that is not a whole SweepResult."""
        arrays = load_arrays(path, "a SweepResult")
        try:
            told = json.loads(str(arrays.pop("told")))
            grid = {name: _values(name, values) for name, values in told["grid"].items()}
            settings = {name: _value(name, value) for name, value in told["settings"].items()}
            shape = tuple(len(values) for values in grid.values())
            kinds = {name: array.dtype.kind for name, array in arrays.items()}
            if kinds != ARRAYS or any(v.shape != shape for v in arrays.values()):
                raise ValueError
            return cls(grid, settings, **arrays, stopped=told["stopped"])
        except (KeyError, ValueError, AttributeError, TypeError):
            raise ValueError(
                f"expected a SweepResult with {list(ARRAYS)} of the grid's shape in {path}, got "
                f"{sorted(arrays)}: was it saved by SweepResult.save?"
            ) from None

    def __repr__(self) -> str:
        text = f"{int(self.done.sum())} of {self.done.size} runs done"
        text += f", {int((self.diverged_at >= 0).sum())} diverged"
        return f"SweepResult({text}{'' if self.stopped is None else ', ' + self.stopped})"


def sweep(
    data: Data | Mapping,
    sizes: Sequence[int],
    grid: Mapping[str, Sequence],
    *,
    steps: int,
    executor: Executor | None = None,
    resume: SweepResult | None = None,
    progress: bool | None = None,
    eval_size: int = 1000,
    **shared,
) -> SweepResult:
    """Train a network of `bnlib.mlp` at every point of a grid and return a `SweepResult`.

        sweep({"pool": True}, [196, 100, 100, 100, 10], {"norm": [None, "batch"], "lr": [0.1, 1.0]},
              steps=300, batch_size=60)

    Nothing that is done gets lost: an interrupt (Ctrl-C, the notebook's stop button), a killed
    worker or a cluster that went away ends the sweep with what there is. It is then marked as
    ``stopped``, and ``resume`` takes it up again.

    Parameters
    ----------
    data : arguments of `bnlib.load_mnist` as a dict. Every worker process loads the images once;
        a `Data` works too, but travels to the workers with every run
    sizes : of `bnlib.mlp`
    grid : dict of name -> list of values. Names are settings of `bnlib.mlp` (norm, activation,
        init_scale, norm_position, seed, dtype) or of `bnlib.train` (lr, batch_size, momentum,
        weight_decay). The order of the names is the order of the result's axes
    steps, shared : settings that all runs have in common, by the same names. ``seed`` (default 0)
        is that of the initial weights and of the batches
    executor : None, or any concurrent.futures.Executor: ProcessPoolExecutor, or a cluster's, such
        as dask.distributed's ``Client.get_executor()``
    resume : a `SweepResult` of the same sweep; what it has is kept
    progress : shows a tqdm bar; by default from 5,000 steps in all
    eval_size : test images for the accuracy

    Raises ValueError for an empty or unknown setting, or a ``resume`` of another sweep. A network
    that diverges is a result. An error inside a run is raised here.
    """
    check_has("sweep expected a grid as a dict of name -> values", grid, "items")
    if not isinstance(data, Data):
        check_has("sweep expected a Data, or a dict of load_mnist's arguments", data, "items")
    if executor is not None:
        what = "sweep expected an executor with a submit, such as ProcessPoolExecutor(4)"
        check_has(what, executor, "submit")
    sizes = _values("sizes", sizes)
    grid = {name: _values(name, values) for name, values in grid.items()}
    shared = {name: _value(name, v) for name, v in ({"seed": 0, "steps": steps} | shared).items()}
    _check(grid, shared, eval_size)
    told = _fingerprint(data) if isinstance(data, Data) else _value("data", dict(data))
    settings = shared | {"data": told, "sizes": list(sizes), "eval_size": eval_size}
    result = _start(grid, settings) if resume is None else _resumed(resume, grid, settings)

    jobs = {
        point: shared | {k: grid[k][i] for k, i in zip(grid, point, strict=True)}
        for point in np.ndindex(result.done.shape)
        if not result.done[point]
    }
    if progress is None:
        progress = len(jobs) * steps >= LONG_RUN
    from tqdm.auto import tqdm  # here, because importing it takes longer than all of bnlib

    bar = tqdm(total=result.done.size, desc="sweep", unit="run", disable=not progress)

    def record(point, outcome):
        if isinstance(outcome, Exception):
            raise outcome
        result.loss[point], result.accuracy[point], result.diverged_at[point] = outcome
        result.done[point] = True
        bar.update(int(result.done.sum()) - bar.n)

    spec = data if isinstance(data, Data) else tuple(sorted(data.items()))
    stopped, arguments = None, (spec, sizes, eval_size)
    with bar:
        bar.update(int(result.done.sum()))
        try:
            if executor is None:
                for point, setting in jobs.items():
                    record(point, run_one(setting, *arguments))
            else:
                _run_on(executor, jobs, arguments, record)
        except KeyboardInterrupt:
            stopped = "stopped by an interrupt"
        except ExecutorFailure as failure:
            stopped = str(failure)
    if result.done.all():
        stopped = None
    if stopped is not None:
        stopped += "; sweep(..., resume=this result) does the rest"
    return replace(result, stopped=stopped)


def run_one(
    setting: dict, spec: Data | tuple, sizes: tuple[int, ...], eval_size: int
) -> tuple[float, float, int] | Exception:
    """A point of the grid: its (loss, accuracy, diverged_at), or the exception that came.

    Runs in a worker process. An exception is returned, not raised, so that one that is raised can
    only come from the executor.
    """
    try:
        data = spec if isinstance(spec, Data) else _load(spec)
        net = mlp(sizes, **{k: v for k, v in setting.items() if k in OF_NETWORK})
        settings = {k: v for k, v in setting.items() if k in OF_TRAINING}
        run = train(net, data, seed=setting["seed"], progress=False, **settings)
        if run.diverged_at is not None:
            return np.inf, np.nan, run.diverged_at
        images, labels = data.test_batch(min(eval_size, len(data.x_test)), net.dtype)
        return float(np.mean(run.losses[-LAST:])), accuracy(net, images, labels), -1
    except Exception as error:
        return error


@lru_cache(maxsize=1)
def _load(spec):
    """The images, loaded once a process."""
    return load_mnist(**dict(spec))


def _fingerprint(data):
    """What tells a `Data` from another, in a result that may be read in another process."""
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).data for a in arrays))
    return f"{data}, {digest.hexdigest()[:16]}"


def _values(name, values):
    """The values of a setting in the grid, as a tuple of Python's own types."""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(
            f"sweep expected a list of values for {name}, got {values!r}: [{values!r}]?"
        )
    return tuple(_value(name, value) for value in values)


def _value(name, value):
    """The value as JSON would give it back, so that a result that was loaded compares as equal."""
    if name == "dtype":
        return np.dtype(value)
    if name == "data" and isinstance(value, Mapping):
        return {k: _value(k, v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


class ExecutorFailure(Exception):
    """The executor lost runs: a worker was killed, or the cluster went away."""


def _run_on(executor, jobs, arguments, record):
    """Run all jobs on the executor; if it ends early, record what is done and cancel the rest."""
    futures, failure = {}, None
    try:
        try:
            for point, setting in jobs.items():
                futures[executor.submit(run_one, setting, *arguments)] = point
        except RuntimeError as error:  # it is broken or shut down; some runs may be done before
            failure = error
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except (Exception, CancelledError) as error:
                failure = error  # go on: the others may be done
            else:
                record(futures[future], outcome)
    except BaseException:
        for future, point in futures.items():
            if not future.cancel() and future.done() and future.exception() is None:
                if not isinstance(outcome := future.result(), Exception):
                    record(point, outcome)
        raise
    if failure is not None:
        raise ExecutorFailure(
            f"the executor lost runs ({type(failure).__name__}: {failure}): was a worker killed, "
            "or out of memory?"
        )


def _check(grid, shared, eval_size):
    known = (*OF_NETWORK, *OF_TRAINING)
    if unknown := sorted((grid.keys() | shared.keys()) - set(known)):
        raise ValueError(f"sweep expected settings out of {known}, got {unknown}")
    if twice := sorted(grid.keys() & (shared.keys() - {"seed"})):
        raise ValueError(f"sweep got {twice} both in the grid and for all runs: leave one out")
    if not grid or not all(grid.values()):
        raise ValueError("sweep expected a grid with at least one value for every setting")
    if missing := sorted({"lr", "batch_size"} - grid.keys() - shared.keys()):
        raise ValueError(f"sweep needs {missing}, in the grid or for all runs")
    check_int("sweep expected steps", shared["steps"])
    check_int("sweep expected eval_size", eval_size)
    # A value that no network accepts should not wait for its turn in the grid.
    for name in OF_NETWORK:
        for value in grid.get(name, (shared[name],) if name in shared else ()):
            mlp([1, 1], **{name: value})


def _start(grid, settings):
    shape = tuple(len(values) for values in grid.values())
    nothing = {"loss": np.nan, "accuracy": np.nan, "diverged_at": -1, "done": False}
    return SweepResult(grid, settings, **{k: np.full(shape, v) for k, v in nothing.items()})


def _resumed(old, grid, settings):
    """A copy of ``old`` to go on with, after a check that it belongs to the same sweep."""
    check_has("sweep expected resume as a SweepResult", old, "settings")
    names = old.settings.keys() | settings.keys()
    differing = sorted(k for k in names if old.settings.get(k) != settings.get(k))
    if old.grid != grid or differing:
        raise ValueError(
            "sweep expected resume to be a result of the same sweep, got one that differs in "
            f"{', '.join(differing) or 'the grid'}"
        )
    return replace(old, **{name: getattr(old, name).copy() for name in ARRAYS})
