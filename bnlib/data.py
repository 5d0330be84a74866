"""MNIST, shipped with the package: loaded without pickle, checked by SHA-256, never downloaded.

Images stay uint8 in memory (60,000 of them as float32 would take 188 MB); `Data.batch` converts
only the images it draws. Where the file comes from and whose it is: bnlib/data/README.md.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

MNIST_PATH = Path(__file__).parent / "data" / "mnist.npz"
MNIST_BYTES = 11_266_754
MNIST_SHA256 = "99b6212d8b734503d7fa2e29ea6413bad62226998e56555f4a6b0b30072f1aec"
NUM_CLASSES = 10


class DataError(RuntimeError):
    """The data file is missing, incomplete or altered; the message says which and the way out."""


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels of one data set, split into train and test.

    x_train, x_test : uint8, (N, D) or (N, 1, H, W), read-only
    y_train, y_test : int64, (N,), the digit 0 ... 9, read-only
    binary : the pixels are 0 or 1 and stay so as floats; otherwise floats are pixel / 255
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    binary: bool = False

    def __repr__(self) -> str:
        kind = "binary" if self.binary else "gray"
        return (
            f"Data({len(self.x_train)} train and {len(self.x_test)} test {kind} images "
            f"of shape {self.x_train.shape[1:]})"
        )

    @property
    def num_features(self) -> int:
        """Values in one image: 784, or 196 when pooled."""
        return int(np.prod(self.x_train.shape[1:]))

    def batch(
        self, indices: np.ndarray | slice, dtype: DTypeLike = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Training images `indices` as floats in [0, 1], and their labels.

        indices : (N,) integers or a slice into the training set
        Returns x of `dtype`, shape (N, D) or (N, 1, H, W), and y int64 (N,); both are copies.
        Raises IndexError or TypeError for indices that are not in the training set.
        """
        return self._draw(self.x_train, self.y_train, indices, dtype, "train")

    def test_batch(
        self, indices: int | np.ndarray | slice | None = None, dtype: DTypeLike = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Test images as floats and their labels: all of them, the first n, or those at `indices`.

        All 10,000 at once are 63 MB as float64, 31 MB as float32.
        """
        if indices is None:
            indices = slice(None)
        elif isinstance(indices, (int, np.integer)) and not isinstance(indices, bool):
            n = _check_count("test_batch(n)", indices, len(self.x_test))
            indices = slice(0, n)
        return self._draw(self.x_test, self.y_test, indices, dtype, "test")

    def _draw(self, images, labels, indices, dtype, split):
        if not isinstance(indices, slice):
            indices = np.asarray(indices)
            if indices.ndim != 1 or indices.dtype.kind not in "iu":
                raise TypeError(
                    f"expected the indices of {split} images as a 1-D integer array or a slice, "
                    f"got shape {indices.shape} of dtype {indices.dtype}; "
                    "for a single image write [i], for a mask np.flatnonzero(mask)"
                )
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"expected a float dtype for the images, got {dtype}")
        try:
            x, y = images[indices], labels[indices]
        except IndexError as error:
            raise IndexError(
                f"expected indices of {split} images below {len(images)}, got {error}; "
                "was the set made smaller with n_train or n_test?"
            ) from None
        if self.binary:
            return x.astype(dtype), y.copy()
        return np.divide(x, 255, dtype=dtype), y.copy()


def load_mnist(
    binary: bool = False,
    pool: bool = False,
    n_train: int | None = None,
    n_test: int | None = None,
    shape: str = "flat",
    path: str | Path = MNIST_PATH,
) -> Data:
    """MNIST as `Data`: 60,000 training and 10,000 test images of handwritten digits.

    binary : pixel > 127 becomes 1, the rest 0, as in Ioffe & Szegedy 2015, section 4.1
    pool : the mean of each 2x2 block, rounded: 14x14 images (before `binary` is applied)
    n_train, n_test : keep only the first n images; their classes are mixed, not sorted
    shape : "flat" for (N, 784), "image" for (N, 1, 28, 28)
    path : of another copy of the same file

    Raises DataError if the file is missing or is not, byte for byte, the one that was shipped.
    """
    if shape not in ("flat", "image"):
        raise ValueError(f'expected shape "flat" or "image", got {shape!r}')
    n_train = 60000 if n_train is None else _check_count("n_train", n_train, 60000)
    n_test = 10000 if n_test is None else _check_count("n_test", n_test, 10000)
    arrays = _read(Path(path))

    def images(key, n):
        x = arrays.pop(key)[:n]
        if pool:
            x = _pool(x)
        if binary:
            x = (x > 127).view(np.uint8)
        x = x.reshape(n, -1) if shape == "flat" else x[:, None]
        return _own(x)

    def labels(key, n):
        return _own(arrays.pop(key)[:n].astype(np.int64))

    return Data(
        images("x_train", n_train),
        labels("y_train", n_train),
        images("x_test", n_test),
        labels("y_test", n_test),
        bool(binary),
    )


def _pool(x):
    """(N, 28, 28) uint8 -> (N, 14, 14) uint8: the mean of each 2x2 block, rounded half up."""
    pooled = np.empty((len(x), x.shape[1] // 2, x.shape[2] // 2), dtype=np.uint8)
    for start in range(0, len(x), 4096):  # in pieces, so that the 16-bit sums stay small
        part = x[start : start + 4096].astype(np.uint16)
        rows = part[:, ::2] + part[:, 1::2]
        pooled[start : start + 4096] = (rows[..., ::2] + rows[..., 1::2] + 2) // 4
    return pooled


def _own(array):
    """Read-only; and a copy if it is a view, so that a part does not keep the whole in memory."""
    base = array.base
    if base is not None and base.nbytes > array.nbytes:
        array = array.copy()
    array.flags.writeable = False
    return array


def _check_count(name, n, most):
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer from 1 to {most}, got {n!r}")
    if not 1 <= n <= most:
        raise ValueError(f"{name}: expected an integer from 1 to {most}, got {n}")
    return int(n)


_WAY_OUT = (
    "To mend it: `git checkout -- bnlib/data/mnist.npz` (after `git lfs pull` or a full clone, if "
    "this one is partial), or reinstall bnlib, or rebuild it with bnlib/data/convert_mnist.py."
)


def _read(path):
    """The arrays of the file at `path`, after its checksum (30 ms; decompressing takes 200 ms)."""
    expected = f"expected the MNIST data, {MNIST_BYTES:,} bytes, at {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "no file" if isinstance(error, FileNotFoundError) else str(error)
        cause = "a partial clone or an incomplete install?"
        raise DataError(f"{expected}, got {reason}: {cause} {_WAY_OUT}") from None
    if len(content) != MNIST_BYTES:
        if content.startswith(b"version https://git-lfs"):
            cause = "it is a Git LFS pointer, not the data."
        else:
            more = len(content) > MNIST_BYTES
            cause = "another file or a text conversion?" if more else "a download cut short?"
        raise DataError(f"{expected}, got {len(content):,} bytes: {cause} {_WAY_OUT}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != MNIST_SHA256:
        raise DataError(
            f"{expected} with SHA-256 {MNIST_SHA256}, got SHA-256 {digest}: right size, other "
            f"content; was the file altered or damaged on disk? {_WAY_OUT}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
