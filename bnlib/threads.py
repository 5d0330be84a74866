"""One BLAS thread, whatever the environment says.

A matrix product of these networks takes some ten microseconds. A second thread gains at most a
sixth of that; on a processor that others use as well, the two wait for each other and training
takes 10 to 60 times as long. So everything here that trains or measures a network runs inside
`one_blas_thread`, and a notebook says `use_one_blas_thread()` for the reader's own loops.

NumPy on macOS may use Accelerate, which threadpoolctl cannot steer: then nothing here has an
effect, and `blas_threads` returns None.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np  # noqa: F401 (its BLAS must be in the process before threadpoolctl looks for it)
from threadpoolctl import LibController, ThreadpoolController

_lock = threading.Lock()
_inside = 0  # blocks of one_blas_thread that are open, in all Python threads together
_before: list[tuple[LibController, int]] = []  # what the last of them to end has to restore


def blas_threads() -> int | None:
    """How many threads BLAS uses now, asked of BLAS itself; None if there is none to ask."""
    return max((library.num_threads for library in _blas()), default=None)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside the block, and in functions decorated with it, BLAS works in one thread.

        with one_blas_thread():
            y = x @ w

    Blocks may be nested and may run in several Python threads at once; the last one to end
    restores the number there was. Costs about 3 microseconds where BLAS has one thread already
    and 10 where it has more.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def use_one_blas_thread() -> None:
    """From here on BLAS works in one thread, in all of this process: a notebook's first line."""
    _enter()  # and never leave


@lru_cache(maxsize=1)
def _blas() -> list[LibController]:
    """The BLAS libraries of this process: looking for them takes milliseconds, so once."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _enter():
    global _inside
    with _lock:
        _inside += 1
        for library in _blas():
            if (count := library.num_threads) > 1:
                _before.append((library, count))
                _set(library, 1)


def _leave():
    global _inside
    with _lock:
        _inside -= 1
        while _before and not _inside:
            _set(*_before.pop())


def _set(library, count):
    # Since 3.8 threadpoolctl ignores all Python threads but the one that came first; here the
    # lock does what that is for.
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)
    library.set_num_threads(count)
