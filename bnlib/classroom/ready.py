"""Is this machine ready for the lesson? One line a question: ok, or what to do about it."""

from __future__ import annotations

import importlib.metadata
import sys
import time
from pathlib import Path

import bnlib

NOTEBOOKS_NEED = ["jupyterlab>=4.2,<5", "ipykernel>=6.29,<8"]  # beside what bnlib itself needs
A_STUDENT = 1.0  # GB: notebook 10 holds half of it, its browser tab some more
SECONDS = 2.0  # of training
INSTALL = "in bnlib's folder: pip install -r requirements.txt"


class Mend(Exception):
    """What is wrong, and the remedy."""

    def __init__(self, wrong: str, remedy: str):
        super().__init__(f"{wrong}  ->  {remedy}")


def versions() -> str:
    """Python and the packages are there, in versions within the ranges."""
    from packaging.requirements import Requirement  # Matplotlib brings it

    found, wrong = [f"Python {sys.version.split()[0]}"], []
    for needed in map(Requirement, importlib.metadata.requires("bnlib") + NOTEBOOKS_NEED):
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is not installed, expected {needed}")
            continue
        found.append(f"{needed.name} {version}")
        if not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} is {version}, expected {needed.specifier}")
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
    """There is room for one kernel and a browser tab."""
    free = free_memory()
    if free < A_STUDENT:
        raise Mend(
            f"{free:.1f} GB are free, expected {A_STUDENT:g} for a student",
            "close other kernels (Kernel -> Shut Down All Kernels) and programs",
        )
    return f"{free:.1f} GB are free: room for {int(free / A_STUDENT)} at {A_STUDENT:g} GB a student"


def free_memory() -> float:
    """In GB; in a container, what its limit leaves."""
    import psutil  # ipykernel brings it

    free = psutil.virtual_memory().available
    try:
        most, used = (Path("/sys/fs/cgroup", f"memory.{k}").read_text() for k in ("max", "current"))
        free = min(free, int(most) - int(used))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        pass
    return free / 1e9


QUESTIONS = {
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
        except bnlib.data.DataError:  # said at length once
            line = f"MEND  {name}: MNIST cannot be loaded  ->  see data, above"
        except Exception as error:
            line = f"MEND  {name}: {type(error).__name__}: {error}  ->  {INSTALL}"
        wrong += line.startswith("MEND")
        print(line, flush=True)
    print("Ready." if not wrong else f"Not ready: {wrong} of {len(QUESTIONS)} have to be mended.")
    return int(wrong > 0)
