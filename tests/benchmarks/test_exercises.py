"""How long a check takes: processor seconds of the slowest one, on one core.

The first check of a process makes the probes and the reference's outputs; later ones do not.
"""

import subprocess
import sys

from benchmarks import ratio
from exercises import styles

from bnlib import exercises

TARGET = 1.0


def first_check(name):
    """The first check of a mistake (the slowest kind) in a process of its own, without imports."""
    code = (
        "import time; from bnlib import exercises; "
        f"e = exercises.available[{name!r}]; start = time.process_time(); "
        "e.check(e.mistakes[-1].function); print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def test_every_check_answers_in_time():
    figures = {}  # processor seconds of the slowest check
    for name, exercise in exercises.available.items():
        figures[f"{name}, first"] = first_check(name)
        assert exercise.check(exercise.answer).passed
        for kind, functions in (
            ("correct", styles.of(name).values()),
            ("mistake", [m.function for m in exercise.mistakes]),
        ):
            slowest = max(ratio.seconds(exercise.check, f) for f in functions)
            figures[f"{name}, {kind}"] = slowest
    ratio.check(figures, dict.fromkeys(figures, (None, TARGET)))
