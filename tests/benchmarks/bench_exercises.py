"""How long a check takes: processor seconds of the slowest one, on one core.

    python tests/benchmarks/bench_exercises.py
    pytest tests/benchmarks/bench_exercises.py        (the same, checked against the target)

The first check of a process makes the probes and the reference's outputs; later ones do not.
"""

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from exercises import styles

from bnlib import exercises

TARGET = 0.5


def seconds(function, *args):
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def first_check(name):
    """The first check of a mistake (the slowest kind) in a process of its own, without imports."""
    code = (
        "import time; from bnlib import exercises; "
        f"e = exercises.available[{name!r}]; start = time.process_time(); "
        "e.check(e.mistakes[-1].function); print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure():
    """(exercise, kind) -> processor seconds of the slowest check."""
    found = {}
    for name, exercise in exercises.available.items():
        found[name, "first"] = first_check(name)
        exercise.check(exercise.answer)
        for style, function in styles.of(name).items():
            slow = seconds(exercise.check, function)
            found[name, "correct"] = max(found.get((name, "correct"), 0), slow)
            assert exercise.check(function).passed, style
        found[name, "mistake"] = max(seconds(exercise.check, m.function) for m in exercise.mistakes)
    return found


def test_every_check_answers_in_time():
    for case, value in measure().items():
        assert value < TARGET, case


if __name__ == "__main__":
    for (name, kind), value in measure().items():
        print(f"{name:20s} {kind:8s} {1000 * value:7.1f} ms")
