"""What four libraries mean by the same words, frozen from the real ones, and in formulas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnlib import functional

FROZEN = Path(__file__).parent / "data" / "conventions.npz"  # tests/reference/make_conventions.py


@dataclass(frozen=True)
class Convention:
    """What one library does with the defaults of its batch normalization."""

    library: str
    version: str
    momentum: float  # its default
    weighs: str  # "new" or "old": what the momentum is the weight of
    divisor: str  # "N" or "N - 1": of the variance that it keeps
    eps: float
    axis: int  # of the channels
    names: tuple[str, ...]  # of gamma, beta, running mean and running variance

    def running(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Running mean and variance after one batch x (N, D), from 0 and 1."""
        new = self.momentum if self.weighs == "new" else 1 - self.momentum
        var = x.var(axis=0, ddof=1 if self.divisor == "N - 1" else 0)
        return new * x.mean(axis=0), 1 - new + new * var

    def normalized(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """y for the batch x (N, D) in training, and in evaluation after it, by bnlib."""
        ones, zeros = np.ones(x.shape[1]), np.zeros(x.shape[1])
        y, _ = functional.batch_norm(x, ones, zeros, self.eps)
        return y, functional.batch_norm_inference(x, ones, zeros, *self.running(x), self.eps)

    def largest_difference(self) -> float:
        """The largest difference from the library's own numbers (float32)."""
        with np.load(FROZEN) as frozen:
            x = frozen["x"].astype(np.float64)
            ours = (*self.running(x), *self.normalized(x))
            theirs = (frozen[f"{self.library} {n}"] for n in ("mean", "var", "y", "evaluated"))
            return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs))


MEANINGS = {
    "pytorch": ("new", "N - 1"),
    "keras": ("old", "N"),
    "flax": ("old", "N"),
    "onnx": ("old", "N"),
}


def conventions() -> dict[str, Convention]:
    """The conventions, by the library's name: defaults and names as the libraries gave them."""
    with np.load(FROZEN) as frozen:
        return {
            library: Convention(
                library,
                str(frozen[f"{library} version"]),
                float(frozen[f"{library} momentum"]),
                *meanings,
                float(frozen[f"{library} eps"]),
                int(frozen[f"{library} axis"]),
                tuple(map(str, frozen[f"{library} names"])),
            )
            for library, meanings in MEANINGS.items()
        }
