"""Is this machine ready for the lesson? One line a question: ok, or what to do about it."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bnlib

NEEDED = (
    *("numpy", "matplotlib", "ipywidgets", "tqdm", "threadpoolctl"),  # bnlib itself
    *("jupyterlab", "ipykernel"),  # the notebooks
)
REQUIREMENTS = Path(bnlib.__file__).parents[1] / "requirements.txt"
A_STUDENT = 1.0  # GB: notebook 10 holds half of it, its browser tab some more
SECONDS = 2.0  # of training
INSTALL = "in bnlib's folder: pip install -r requirements.txt"


class Mend(Exception):
    """What is wrong, and the remedy."""

    def __init__(self, wrong: str, remedy: str):
        super().__init__(f"{wrong}  ->  {remedy}")


def versions() -> str:
    """Python and the packages are there, in versions within the ranges."""
    from packaging.requirements import Requirement  # Matplotlib needs it, so it is there

    if REQUIREMENTS.exists():
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    else:
        lines = importlib.metadata.requires("bnlib") or []
    ranges = {}
    for line in lines:
        if re.match(r"[A-Za-z]", line):
            requirement = Requirement(line.partition("#")[0])
            ranges[requirement.name] = requirement.specifier
    found, wrong = [f"Python {sys.version.split()[0]}"], []
    for name in NEEDED:
        wanted = str(ranges.get(name, ""))
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed, expected {name}{wanted}")
            continue
        found.append(f"{name} {version}")
        if name in ranges and not ranges[name].contains(version, prereleases=True):
            wrong.append(f"{name} is {version}, expected {wanted}")
    if wrong:
        raise Mend("; ".join(wrong), INSTALL)
    return ", ".join(found)


def data() -> str:
    """MNIST is there, byte for byte."""
    try:
        found = bnlib.load_mnist()
    except bnlib.data.DataError as error:
        raise Mend(str(error), "get bnlib anew: the file comes with it") from None
    return f"{len(found.x_train):,} and {len(found.x_test):,} images, checksum as shipped"


def threads() -> str:
    """BLAS works in one thread while a network trains."""
    count = bnlib.training_blas_threads()
    if count is None:
        return "this BLAS does not say how many (Accelerate on macOS): compare steps a second"
    if count > 1:
        raise Mend(
            f"BLAS takes {count} threads in a training loop, expected 1: 10 to 60 times slower "
            "where others compute as well",
            "set OPENBLAS_NUM_THREADS=1 (or MKL_NUM_THREADS=1) before Jupyter starts",
        )
    return "1 in a training loop"


def training() -> str:
    """Two seconds of training end with a loss that is a number."""
    net = bnlib.mlp([784, 100, 100, 10], norm="batch", seed=0)
    trainer = bnlib.Trainer(net, bnlib.load_mnist(), lr=0.1, batch_size=60, seed=0)
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        trainer.advance(20)
    speed = trainer.step_count / (time.perf_counter() - start)
    if trainer.diverged_at is not None:
        raise Mend(f"training diverged in step {trainer.diverged_at}", INSTALL)
    return f"{speed:,.0f} steps a second (784-100-100-10 with BN, 60 images a step)"


def widget() -> str:
    """A widget draws its picture."""
    from bnlib.widgets import TransformExplorer

    images, labels = bnlib.load_mnist(n_train=60).batch(slice(0, 60))
    start = time.perf_counter()
    png = TransformExplorer(images[:, 400:403], images, labels).png
    if not png.startswith(b"\x89PNG"):
        raise Mend("a widget drew no picture", INSTALL)
    return f"a first frame of {len(png) / 1000:.0f} kB after {time.perf_counter() - start:.1f} s"


def memory() -> str:
    """There is room for one kernel and a browser tab, or it cannot be known."""
    free = free_memory()
    if free is None:
        return f"cannot be known here; a student needs {A_STUDENT:g} GB"
    if free < A_STUDENT:
        raise Mend(
            f"{free:.1f} GB are free, expected {A_STUDENT:g} for a student",
            "close other kernels (Kernel -> Shut Down All Kernels) and programs",
        )
    return f"{free:.1f} GB are free: room for {int(free / A_STUDENT)} at {A_STUDENT:g} GB a student"


def free_memory() -> float | None:
    """In GB; in a container, what its limit leaves. None where nothing says it."""
    found = []
    try:
        import psutil  # ipykernel needs it, so it is there

        found.append(psutil.virtual_memory().available)
    except ImportError:
        pass
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        found += [] if most == "max" else [int(most) - used]
    except (OSError, ValueError):
        pass
    return min(found) / 1e9 if found else None


QUESTIONS: dict[str, Callable[[], str]] = {
    "versions": versions,
    "data": data,
    "BLAS threads": threads,
    "training": training,
    "widget": widget,
    "memory": memory,
}


def run() -> int:
    """Ask all questions and print the answers. Returns 1 if something has to be mended, else 0."""
    wrong = 0
    for name, question in QUESTIONS.items():
        try:
            line = f"ok    {name}: {question()}"
        except Mend as mend:
            line = f"MEND  {name}: {mend}"
        except Exception as error:
            line = f"MEND  {name}: {type(error).__name__}: {error}  ->  {INSTALL}"
        wrong += line.startswith("MEND")
        print(line, flush=True)
    print("Ready." if not wrong else f"Not ready: {wrong} of {len(QUESTIONS)} have to be mended.")
    return int(wrong > 0)
