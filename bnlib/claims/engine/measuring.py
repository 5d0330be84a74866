"""Measuring claims, seed by seed: in this process, in many, or on a cluster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, as_completed
from functools import partial

from bnlib.claims.engine.claim import FIRST_SEED, SIZES, TUNING_SEEDS, Claim
from bnlib.claims.engine.judging import Row
from bnlib.claims.engine.results import Results
from bnlib.threads import one_blas_thread

DIGITS = 5  # significant ones that are kept: more than any sentence shows


def measure(
    claim: Claim, part: str, seed: int, size: str = "full", tuned: dict | None = None
) -> Row:
    """The numbers of one seed. ``part`` is "tune" or "experiment".

    Depends on its arguments alone, so it does not matter in which process it runs. Raises
    ValueError for a number that is not finite: what diverged has to be counted, not averaged.
    """
    if size not in SIZES:
        raise ValueError(f"expected a size out of {SIZES}, got {size!r}")
    with one_blas_thread():
        row = claim.tune(seed) if part == "tune" else claim.experiment(seed, size, **(tuned or {}))
    if wrong := {name: value for name, value in row.items() if not math.isfinite(value)}:
        raise ValueError(f"{claim.id} expected finite numbers, seed {seed} gave {wrong}")
    return {name: float(f"{value:.{DIGITS}g}") for name, value in row.items()}


def run(
    claims: Iterable[Claim],
    results: Results,
    *,
    seeds: int | None = None,
    first_seed: int = FIRST_SEED,
    executor: Executor | None = None,
    only_tune: bool = False,
    progress: bool = True,
) -> None:
    """Measure what is missing in ``results``, and store each seed as soon as it is done.

    After an interrupt (Ctrl-C) the same call does the rest.

    seeds : so many, in place of each claim's own number
    executor : None, or any concurrent.futures.Executor
    only_tune : stop after the choice of settings

    A claim that fails (EdgeOfGrid, for example) does not stop the others; its error comes at the
    end.
    """
    claims, failed = list(claims), {}
    wanted = {c.id: range(first_seed, first_seed + (seeds or c.seeds)) for c in claims}
    tuning = [
        (c, "tune", seed)
        for c in claims
        if c.tune
        for seed in TUNING_SEEDS
        if seed not in results.rows(c.id, "tune")
    ]
    _run(tuning, {}, results, executor, progress, failed)
    tuned = {}
    for claim in claims:
        try:
            tuned[claim.id] = results.tuned(claim)
        except ValueError as error:
            failed.setdefault(claim.id, error)
    jobs = [
        (c, "experiment", seed)
        for c in claims
        if c.id in tuned and not only_tune
        for seed in wanted[c.id]
        if seed not in results.rows(c.id)
    ]
    _run(jobs, tuned, results, executor, progress, failed)
    for name, error in failed.items():
        error.add_note(f"in the claim {name}; failed in all: {', '.join(failed)}")
        raise error


def _run(
    jobs: Sequence[tuple[Claim, str, int]],
    tuned: dict[str, dict],
    results: Results,
    executor: Executor | None,
    progress: bool,
    failed: dict[str, Exception],
) -> None:
    from tqdm.auto import tqdm

    with tqdm(total=len(jobs), unit="seed", disable=not (progress and jobs)) as bar:

        def done(job: tuple[Claim, str, int], outcome) -> None:
            claim, part, seed = job
            try:
                results.add(claim.id, part, seed, outcome())
            except Exception as error:
                failed.setdefault(claim.id, error)
            bar.set_description(claim.id)
            bar.update()

        if executor is None:
            for job in jobs:
                done(job, partial(measure, *job, "full", tuned.get(job[0].id)))
            return
        futures: dict[Future, tuple] = {
            executor.submit(measure, *job, "full", tuned.get(job[0].id)): job for job in jobs
        }
        try:
            for future in as_completed(futures):
                done(futures[future], future.result)
        except BaseException:
            under_way = [future for future in futures if not future.cancel()]
            for future in under_way:  # those that are done are stored already, which does no harm
                done(futures[future], future.result)
            raise
