"""A grid of training runs: in this process, in many, or on a cluster.

Up to `TOGETHER` points of the grid that differ only in learning rate and initial scale train as one
stack (`bnlib.stacked`), in two thirds of the time. A stack is one function call that depends on its
arguments alone, so it does not matter where or in which order the calls run: the results are the
same to the bit on equal machines, and those of `bnlib.train` up to rounding.
"""

from concurrent.futures import CancelledError, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bnlib.data import Data, load_mnist
from bnlib.network import mlp
from bnlib.stacked import StackTrainer
from bnlib.training import LONG_RUN, accuracy

OF_NETWORK = ("norm", "activation", "init_scale", "norm_position", "seed", "dtype")
OF_TRAINING = ("steps", "lr", "batch_size", "momentum", "weight_decay")
OF_ONE = ("lr", "init_scale")  # may differ between the networks of a stack
TOGETHER = 6  # networks in a stack: more are no faster, and fewer keep more processes busy
LAST = 20  # the final loss is the mean over so many last batches


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Results of a grid: one axis a setting, in the order of ``grid``, one entry a value.

        result.accuracy[result.at(norm="batch")]    # the part of the grid with batch norm

    ``stopped`` is None when all of it was done; otherwise it says why not, ``done`` says what there
    is, and ``sweep(..., resume=result)`` does the rest.
    """

    grid: dict  # name -> tuple of values
    settings: dict  # what all runs share
    loss: np.ndarray  # mean of the last 20 training losses, in nats; inf where training diverged
    accuracy: np.ndarray  # on test images in evaluation mode, in [0, 1]; nan where it diverged
    diverged_at: np.ndarray  # the step, -1 where training did not diverge
    done: np.ndarray  # bool; elsewhere loss and accuracy are nan
    stopped: str | None = None

    def at(self, **values):
        """Index of the points where every named setting has the given value.

        Raises KeyError for a name that is not in the grid, ValueError for a value that is not.
        """
        if unknown := sorted(values.keys() - self.grid.keys()):
            raise KeyError(f"the grid has {list(self.grid)}, got {unknown}")
        return tuple(
            self.grid[name].index(values[name]) if name in values else slice(None)
            for name in self.grid
        )

    def __repr__(self):
        text = f"{int(self.done.sum())} of {self.done.size} runs done"
        text += f", {int((self.diverged_at >= 0).sum())} diverged"
        return f"SweepResult({text}{'' if self.stopped is None else ', ' + self.stopped})"


def sweep(
    data, sizes, grid, *, steps, executor=None, resume=None, progress=None, eval_size=1000, **shared
):
    """Train a network of `bnlib.mlp` at every point of a grid and return a `SweepResult`.

        sweep({"pool": True}, [196, 100, 100, 100, 10], {"norm": [None, "batch"], "lr": [0.1, 1.0]},
              steps=300, batch_size=60)

    Networks that differ in ``lr`` and ``init_scale`` alone train together, six at a time, in two
    thirds of the time. Nothing that is done gets lost: an interrupt (Ctrl-C, the notebook's stop
    button), a killed worker or a cluster that went away ends the sweep with what there is. It is
    then marked as ``stopped``, and ``resume`` takes it up again.

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
        as dask.distributed's ``Client.get_executor()``. Set OPENBLAS_NUM_THREADS=1 before starting
        workers: two BLAS threads a worker slow each other down, and may round differently
    resume : a `SweepResult` of the same sweep; what it has is kept
    progress : shows a tqdm bar; by default from 5,000 steps in all
    eval_size : test images for the accuracy

    Raises ValueError for an empty or unknown setting, or a ``resume`` of another sweep. A network
    that diverges is a result. An error inside a run is raised here.
    """
    grid = {name: tuple(values) for name, values in grid.items()}
    spec = data if isinstance(data, Data) else tuple(sorted(data.items()))
    shared = {"seed": 0, "steps": steps} | shared
    _check(grid, shared)
    settings = shared | {"data": spec, "sizes": tuple(sizes), "eval_size": eval_size}
    result = _start(grid, settings) if resume is None else _resumed(resume, grid, settings)

    jobs = _stacks(grid, shared, result.done)
    if progress is None:
        progress = (~result.done).sum() * steps >= LONG_RUN
    from tqdm.auto import tqdm  # here, because importing it takes longer than all of bnlib

    bar = tqdm(total=result.done.size, desc="sweep", unit="run", disable=not progress)

    def record(points, outcomes):
        if isinstance(outcomes, Exception):
            raise outcomes
        for point, outcome in zip(points, outcomes, strict=True):
            result.loss[point], result.accuracy[point], result.diverged_at[point] = outcome
            result.done[point] = True
        bar.update(int(result.done.sum()) - bar.n)

    stopped, arguments = None, (spec, tuple(sizes), eval_size)
    with bar:
        bar.update(result.done.sum())
        try:
            if executor is None:
                for points, settings in jobs.items():
                    record(points, run_stack(settings, *arguments))
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


def run_stack(settings, spec, sizes, eval_size):
    """Some points of the grid: their (loss, accuracy, diverged_at), or the exception that came.

    Runs in a worker process. An exception is returned, not raised, so that one that is raised can
    only come from the executor.
    """
    try:
        data = spec if isinstance(spec, Data) else _load(spec)
        nets = [mlp(sizes, **{k: v for k, v in s.items() if k in OF_NETWORK}) for s in settings]
        common = settings[0]
        training = {k: common[k] for k in ("momentum", "weight_decay") if k in common}
        rates = [s["lr"] for s in settings]
        trainer = StackTrainer(nets, data, rates, common["batch_size"], common["seed"], **training)
        trainer.advance(common["steps"])
        images, labels = data.test_batch(min(eval_size, len(data.x_test)), nets[0].dtype)
        return [
            (float(np.mean(run.losses[-LAST:])), accuracy(run.net, images, labels), -1)
            if run.diverged_at is None
            else (np.inf, np.nan, run.diverged_at)
            for run in trainer.runs()
        ]
    except Exception as error:
        return error


def _stacks(grid, shared, done):
    """What there is to do: the indices of the points of a stack -> their settings.

    Stacks are the same whatever is done, so that a resumed sweep gives the same bits.
    """
    alike = {}
    for point in np.ndindex(done.shape):
        setting = shared | {k: grid[k][i] for k, i in zip(grid, point, strict=True)}
        key = tuple(repr(v) for k, v in sorted(setting.items()) if k not in OF_ONE)
        alike.setdefault(key, {})[point] = setting
    stacks = {}
    for members in alike.values():
        everyone = list(members)
        for i in range(0, len(everyone), TOGETHER):
            points = tuple(everyone[i : i + TOGETHER])
            if not all(done[p] for p in points):
                stacks[points] = [members[p] for p in points]
    return stacks


@lru_cache(maxsize=1)
def _load(spec):
    """The images, loaded once a process."""
    return load_mnist(**dict(spec))


class ExecutorFailure(Exception):
    """The executor lost runs: a worker was killed, or the cluster went away."""


def _run_on(executor, jobs, arguments, record):
    """Run all jobs on the executor; if it ends early, record what is done and cancel the rest."""
    futures, failure = {}, None
    try:
        try:
            for points, settings in jobs.items():
                futures[executor.submit(run_stack, settings, *arguments)] = points
        except RuntimeError as error:  # it is broken or shut down; some runs may be done before
            failure = error
        for future in as_completed(futures):
            try:
                outcomes = future.result()
            except (Exception, CancelledError) as error:
                failure = error  # go on: the others may be done
            else:
                record(futures[future], outcomes)
    except BaseException:
        for future, points in futures.items():
            if not future.cancel() and future.done() and future.exception() is None:
                if not isinstance(outcomes := future.result(), Exception):
                    record(points, outcomes)
        raise
    if failure is not None:
        raise ExecutorFailure(
            f"the executor lost runs ({type(failure).__name__}: {failure}): was a worker killed, "
            "or out of memory?"
        )


def _check(grid, shared):
    known = (*OF_NETWORK, *OF_TRAINING)
    if unknown := sorted((grid.keys() | shared.keys()) - set(known)):
        raise ValueError(f"sweep expected settings out of {known}, got {unknown}")
    if twice := sorted(grid.keys() & (shared.keys() - {"seed"})):
        raise ValueError(f"sweep got {twice} both in the grid and for all runs: leave one out")
    if not grid or not all(grid.values()):
        raise ValueError("sweep expected a grid with at least one value for every setting")
    if missing := sorted({"lr", "batch_size"} - grid.keys() - shared.keys()):
        raise ValueError(f"sweep needs {missing}, in the grid or for all runs")
    # A value that no network accepts should not wait for its turn in the grid.
    for name in OF_NETWORK:
        for value in grid.get(name, (shared[name],) if name in shared else ()):
            mlp([1, 1], **{name: value})


def _start(grid, settings):
    shape = tuple(len(values) for values in grid.values())
    return SweepResult(
        grid,
        settings,
        loss=np.full(shape, np.nan),
        accuracy=np.full(shape, np.nan),
        diverged_at=np.full(shape, -1),
        done=np.zeros(shape, bool),
    )


def _resumed(old, grid, settings):
    """A copy of ``old`` to go on with, after a check that it belongs to the same sweep."""
    names = old.settings.keys() | settings.keys()
    differing = sorted(k for k in names if old.settings.get(k) != settings.get(k))
    if old.grid != grid or differing:
        raise ValueError(
            "sweep expected resume to be a result of the same sweep, got one that differs in "
            f"{', '.join(differing) or 'the grid'}"
        )
    arrays = {k: getattr(old, k).copy() for k in ("loss", "accuracy", "diverged_at", "done")}
    return replace(old, **arrays)
