"""Files that are whole at every moment: the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write ``arrays`` to ``path`` (.npz, added if it is missing; compressed, no pickle).

    The file is written beside its place and moved there when it is complete, so a save that is
    killed leaves what was there before (and perhaps a hidden .tmp file, which can be deleted).
    Returns the path of the file. Raises FileNotFoundError if its folder does not exist, ValueError
    for an array of objects, such as None.
    """
    path = npz_path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"expected a folder to save {path.name} in, got {path.parent}")
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"expected arrays of numbers or text to save, got objects in {name!r}")
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; ``path`` is, at every moment, the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # on the disk, before it takes the old one's name
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_arrays(path: str | Path, what: str) -> dict[str, np.ndarray]:
    """The arrays that `save_arrays` wrote; ``what`` names them in errors, e.g. "a Recording".

    Raises FileNotFoundError if there is no file, ValueError if it is not a whole .npz file.
    """
    path = npz_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected {what} in {path}, got no file")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError  # what does not begin like an array comes as bytes
        return arrays
    except Exception:  # whatever NumPy, zipfile, zlib and tokenize raise for a file of another kind
        raise ValueError(
            f"expected {what} in {path}, got a file of {path.stat().st_size:,} bytes that is not a "
            "whole .npz archive of numbers: was it cut short, or is it another file?"
        ) from None


def npz_path(path: str | Path) -> Path:
    """``path`` with the ending .npz, which is added if it has another or none."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
