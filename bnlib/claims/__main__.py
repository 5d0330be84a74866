"""python -m bnlib.claims [ID ...] [--seeds 10] [--jobs 2]: measure, and show the verdicts."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from bnlib.claims import claims, ledger
from bnlib.claims.engine.claim import FIRST_SEED
from bnlib.claims.engine.measuring import run
from bnlib.claims.engine.results import STORED, Results


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="python -m bnlib.claims", description=__doc__)
    made.add_argument("ids", nargs="*", metavar="ID", help="claims; default: all")
    made.add_argument("--seeds", type=int, help="so many seeds, not each claim's own number")
    made.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"default {FIRST_SEED}")
    made.add_argument("--jobs", type=int, default=2, help="processes, default 2")
    made.add_argument("--results", type=Path, help="file to read and write; default: the ledger's")
    made.add_argument("--only-tune", action="store_true", help="choose the settings, then stop")
    made.add_argument("--again", action="store_true", help="forget what is stored of these claims")
    return made


def workers(count: int) -> ProcessPoolExecutor:
    """Processes that start anew, and leave Ctrl-C to this one: they finish their seed."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing and print the table. Returns the exit code."""
    options = parser().parse_args(arguments)
    known = claims()
    if unknown := sorted(set(options.ids) - known.keys()):
        parser().error(f"no claim {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = options.ids or list(known)
    other_seeds = options.first_seed != FIRST_SEED
    if options.results is None and other_seeds:
        parser().error("other seeds than the ledger's go into a file of their own: give --results")

    results = Results(options.results or STORED)
    if options.again:
        for name in chosen:
            results.forget(name)
    if results.path != STORED:  # the settings were chosen once
        results.copy_tuning(Results(STORED))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for the workers, which start anew
    pool = nullcontext() if options.jobs == 1 else workers(options.jobs)
    try:
        with pool as executor:
            run(
                [known[name] for name in chosen],
                results,
                seeds=options.seeds,
                first_seed=options.first_seed,
                executor=executor,
                only_tune=options.only_tune,
            )
    except KeyboardInterrupt:
        print("Stopped. What is done is stored; the same command does the rest.", file=sys.stderr)
        return 130
    measured = ledger(results.path)[chosen]
    print(measured)
    if other_seeds:
        stored = ledger()
        differ = [name for name in chosen if measured[name].verdict != stored[name].verdict]
        print(f"\nOther verdicts than the ledger's: {', '.join(differ) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
