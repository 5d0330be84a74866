"""A grid of training runs: in this process, in many, or on a cluster.

A run is one function call that depends on its arguments alone, so it does not matter where or in
which order the calls are made: the results are those of `bnlib.train`, to the bit on equal
machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from bnlib.data import Data, load_mnist
from bnlib.network import mlp
from bnlib.training import LONG_RUN, accuracy, train
from bnlib.views import check_int

OF_NETWORK = ("norm", "activation", "init_scale", "norm_position", "seed", "dtype")
OF_TRAINING = ("steps", "lr", "batch_size", "momentum", "weight_decay")
LAST = 20  # the final loss is the mean over so many last batches
NOTHING = {"loss": np.nan, "accuracy": np.nan, "diverged_at": -1, "done": False}  # before a run


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Results of a grid: one axis a setting, in the order of ``grid``, one entry a value.

        result.accuracy[result.at(norm="batch")]    # the part of the grid with batch norm

    ``stopped`` is None when all of it was done; otherwise it says why not, ``done`` says what there
    is, and ``sweep(..., resume=result)`` does the rest.
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

    An interrupt (Ctrl-C, the notebook's stop button), a killed worker or a cluster that went away
    ends the sweep with what there is; lost is what was under way. The result is then marked as
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
    grid = {name: _values(name, values) for name, values in grid.items()}
    shared = {"seed": 0, "steps": steps} | shared
    _check(grid, shared, eval_size)
    settings = shared | {"data": data, "sizes": tuple(sizes), "eval_size": eval_size}
    result = _start(grid, settings) if resume is None else _resumed(resume, grid, settings)

    jobs = {
        point: shared | {k: grid[k][i] for k, i in zip(grid, point, strict=True)}
        for point in np.ndindex(result.done.shape)
        if not result.done[point]
    }
    if progress is None:
        progress = len(jobs) * steps >= LONG_RUN
    from tqdm.auto import tqdm  # here, because importing it takes longer than all of bnlib

    bar = tqdm(total=len(jobs), desc="sweep", unit="run", disable=not progress)
    spec = data if isinstance(data, Data) else tuple(sorted(data.items()))
    run = partial(run_one, spec, tuple(sizes), eval_size)
    each, error, stopped = map if executor is None else executor.map, None, None
    with bar:
        try:
            for point, outcome in zip(jobs, each(run, list(jobs.values()))):
                if isinstance(outcome, Exception):
                    error = outcome
                    break
                result.loss[point], result.accuracy[point], result.diverged_at[point] = outcome
                result.done[point] = True
                bar.update()
        except KeyboardInterrupt:
            stopped = "stopped by an interrupt"
        except Exception as failure:  # not from a run
            stopped = f"the executor lost runs ({type(failure).__name__}: {failure}): was a worker "
            stopped += "killed, or out of memory?"
    if error is not None:
        raise error
    if stopped is not None:
        stopped += "; sweep(..., resume=this result) does the rest"
    return replace(result, stopped=stopped)


def run_one(
    spec: Data | tuple, sizes: tuple[int, ...], eval_size: int, setting: dict
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


def _values(name, values):
    """The values of a setting in the grid, as a tuple."""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(
            f"sweep expected a list of values for {name}, got {values!r}: [{values!r}]?"
        )
    return tuple(values)


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
    return SweepResult(grid, settings, **{k: np.full(shape, v) for k, v in NOTHING.items()})


def _resumed(old, grid, settings):
    """A copy of ``old`` to go on with, after a check that it belongs to the same sweep."""
    names = old.settings.keys() | settings.keys()
    differing = sorted(k for k in names if old.settings.get(k) != settings.get(k))
    if old.grid != grid or differing:
        raise ValueError(
            "sweep expected resume to be a result of the same sweep, got one that differs in "
            f"{', '.join(differing) or 'the grid'}"
        )
    copies = {name: getattr(old, name).copy() for name in NOTHING}
    return replace(old, **copies)
