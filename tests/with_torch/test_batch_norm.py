"""BatchNorm against a live PyTorch over 200 random shapes: `pytest tests/with_torch` (needs torch).

    python tests/with_torch/test_batch_norm.py      prints the worst figures

Dense, 1-D, 2-D and 3-D inputs; forward, backward, two training steps, evaluation mode and both
running buffers; float64 within 1e-10, float32 within 1e-5, relative to the largest value of each
array. dx of two examples is a rounding error of larger numbers, so dx is measured against the
largest of gamma / sqrt(var + eps) * |dy| if that is larger.
"""

import numpy as np
import pytest
import torch
from torch import nn

from bnlib.norms import BatchNorm

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
MODULES = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def random_shape(rng):
    axes = int(rng.integers(0, 4))
    n, c = int(rng.choice([2, 3, 4, 5, 8, 31, 64])), int(rng.integers(1, 12))
    return (n, c, *(int(k) for k in rng.integers(1, 9 if axes < 3 else 6, axes)))


def differences(seed, dtype):
    """Largest relative difference of each result, name -> figure, for one random case."""
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    c = shape[1]
    eps, momentum = float(rng.choice([1e-5, 1e-3, 0.1])), [0.1, 0.5, 1.0, None][rng.integers(4)]
    precision = {np.float64: torch.float64, np.float32: torch.float32}[dtype]
    theirs = MODULES[len(shape)](c, eps=eps, momentum=momentum, dtype=precision)
    ours = BatchNorm(c, eps=eps, momentum=momentum, dtype=dtype)
    ours.gamma, ours.beta = rng.uniform(-2, 2, c), rng.normal(0, 2, c)
    theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in ours.state_dict().items()})
    dy = rng.standard_normal(shape).astype(dtype)
    for _ in range(2):
        x = (rng.standard_normal(shape) * rng.uniform(0.5, 3) + rng.normal(0, 1)).astype(dtype)
        y, leaf = ours.forward(x), torch.from_numpy(x).requires_grad_()
        theirs.zero_grad()
        expected = theirs(leaf)
    expected.backward(torch.from_numpy(dy))
    size = np.abs(dy).max() * (np.abs(ours.gamma) * ours._cache.inv_std[:, 0]).max()
    pairs = {
        "y": (y, expected),
        "dx": (ours.backward(dy), leaf.grad),
        "dgamma": (ours.grads["gamma"], theirs.weight.grad),
        "dbeta": (ours.grads["beta"], theirs.bias.grad),
        "running_mean": (ours.running_mean, theirs.running_mean),
        "running_var": (ours.running_var, theirs.running_var),
        "y_eval": (ours.eval().forward(x), theirs.eval()(torch.from_numpy(x))),
    }
    # A sum of m terms of size |dy| may cancel to nearly nothing; so may a mean of m values.
    summed = np.abs(dy).sum() / c * 0.1
    least = {"dx": size, "dgamma": summed, "dbeta": summed, "running_mean": np.abs(x).max() * 0.1}
    worst = {}
    for name, (mine, his) in pairs.items():
        his = his.detach().numpy()
        assert mine.dtype == his.dtype == dtype and mine.shape == his.shape
        scale = max(float(np.abs(his).max()), float(least.get(name, 0.0)))
        worst[name] = float(np.abs(mine.astype(np.float64) - his).max()) / scale
    return worst


def worst_of(dtype, cases=200):
    figures = [differences(seed, dtype) for seed in range(cases)]
    return {name: max(f[name] for f in figures) for name in figures[0]}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_parity_over_200_random_shapes(dtype):
    worst = worst_of(dtype)
    assert max(worst.values()) <= TOLERANCE[dtype], worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    for dtype, tolerance in TOLERANCE.items():
        worst = worst_of(dtype)
        print(f"{np.dtype(dtype)}: worst of 200 shapes (at most {tolerance:.0e})")
        for name, figure in worst.items():
            print(f"  {name:<13} {figure:.1e}")
        assert max(worst.values()) <= tolerance
