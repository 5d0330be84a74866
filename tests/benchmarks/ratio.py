"""Interleaved timing: on a shared machine only a comparison within one run means anything."""

import statistics
import time


def medians(functions, rounds=41, calls=None, target=0.004):
    """Median seconds of processor time a call of each function: name -> seconds.

    In every round each function runs once, in turn, so that a slow spell of the machine hits all
    of them alike; processor time leaves out the turns of other programs. A short function is
    called several times a turn, for about ``target`` seconds.
    """
    calls = calls or {name: _calls_for(f, target) for name, f in functions.items()}
    samples = {name: [] for name in functions}
    names = list(functions)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            f, n = functions[name], calls[name]
            start = time.process_time()
            for _ in range(n):
                f()
            samples[name].append((time.process_time() - start) / n)
    return {name: statistics.median(times) for name, times in samples.items()}


def _calls_for(f, target):
    f()  # the first call fills caches
    start = time.process_time()
    f()
    return max(1, int(target / (time.process_time() - start)))
