"""What the benchmarks share: interleaved timing, targets, and their table.

On a shared machine only a comparison within one run means anything, in processor time. The table
of a benchmark that passes is shown with `pytest -n 0 -s`.
"""

import os
import statistics
import time

from bnlib.threads import use_one_blas_thread

use_one_blas_thread()
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # for processes that a benchmark starts


def seconds(function, *arguments):
    """Processor time of one call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def medians(functions, rounds=41, target=0.004):
    """Median seconds of processor time a call of each function: name -> seconds.

    In every round each function runs once, in turn, so that a slow spell of the machine hits all
    of them alike; processor time leaves out the turns of other programs. A short function is
    called several times a turn, for about ``target`` seconds.
    """
    calls, samples = {}, {name: [] for name in functions}
    for name, f in functions.items():
        f()  # the first call fills caches
        calls[name] = max(1, int(target / seconds(f)))
    names = list(functions)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            several = range(calls[name])
            used = seconds(lambda f=functions[name], several=several: [f() for _ in several])
            samples[name].append(used / len(several))
    return {name: statistics.median(times) for name, times in samples.items()}


def check(figures, targets):
    """Print a table of name -> figure, and fail for those outside their (least, most)."""
    missed = []
    for name, figure in figures.items():
        least, most = targets.get(name, (None, None))
        target = f"at least {least}" if least else f"at most {most}" if most else ""
        print(f"{name:52} {figure:9.3f}   {target}")
        if (least and figure < least) or (most and figure > most):
            missed.append(f"{name}: {figure:.3f}, expected {target}")
    assert not missed, missed
