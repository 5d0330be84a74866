"""The normalizations against a live PyTorch, 200 random shapes each (needs torch).

    python tests/with_torch/test_norms.py      prints the worst figures

Layers and their state dicts, forward and backward, running statistics and evaluation mode: float64
within 1e-10 and float32 within 1e-5 of the largest value of each array. dx of a small group is a
rounding error of larger numbers, so it is measured against the largest of gamma * |dy| if that is
larger. GhostNorm is PyTorch's BatchNorm on each ghost batch. PyTorch has no Batch Renorm: there its
autograd goes through the paper's equations, with r and d detached.
"""

import numpy as np
import pytest
import torch
from torch import nn

import bnlib

TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}
DOUBLE = {"dtype": torch.float64}


class TorchRenorm(nn.Module):
    """Algorithm 1 of Ioffe 2017; running_std is its sigma."""

    def __init__(self, layer):
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(layer.gamma.copy()))
        self.bias = nn.Parameter(torch.from_numpy(layer.beta.copy()))
        self.mean = torch.from_numpy(layer.running_mean.copy())
        self.std = torch.from_numpy(np.sqrt(layer.running_var + layer.eps))
        self.layer, self.batches = layer, 0

    def forward(self, x):
        axes, layer = [0, *range(2, x.ndim)], self.layer

        def wide(v):
            return v.reshape(1, -1, *[1] * (x.ndim - 2))

        mean = x.mean(axes)
        std = torch.sqrt(layer.eps + ((x - wide(mean)) ** 2).mean(axes))
        relaxed = min(1, self.batches / layer.warmup)
        r_max, d_max = 1 + relaxed * (layer.r_max - 1), relaxed * layer.d_max
        r = torch.clip(std / self.std, 1 / r_max, r_max).detach()
        d = torch.clip((mean - self.mean) / self.std, -d_max, d_max).detach()
        xhat = (x - wide(mean)) / wide(std) * wide(r) + wide(d)
        self.mean = self.mean + layer.momentum * (mean.detach() - self.mean)
        self.std = self.std + layer.momentum * (std.detach() - self.std)
        self.batches += 1
        return wide(self.weight) * xhat + wide(self.bias)


class TorchGhost(nn.BatchNorm1d):
    def forward(self, x):
        parts = torch.tensor_split(x, max(1, len(x) // self.virtual_batch_size))
        return torch.cat([super(TorchGhost, self).forward(part) for part in parts])

    def _check_input_dim(self, x):
        """Any number of axes."""


def batch(dtype, precision):
    def make(rng, shape, eps):
        settings = {"eps": eps, "momentum": [0.1, 0.5, 1.0, None][rng.integers(4)]}
        module = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        theirs = module[len(shape)](shape[1], **settings, dtype=precision)
        return bnlib.BatchNorm(shape[1], **settings, dtype=dtype), theirs

    return make


def ghost(rng, shape, eps):
    size = int(rng.integers(2, 6))
    theirs = TorchGhost(shape[1], eps=eps, **DOUBLE)
    theirs.virtual_batch_size = size
    return bnlib.GhostNorm(shape[1], size, eps=eps), theirs


def renorm(rng, shape, eps):
    layer = bnlib.BatchRenorm(
        shape[1], r_max=rng.choice([1.0, 1.2, 3.0]), d_max=rng.choice([0, 0.1, 5.0]), warmup=3
    )
    layer.running_mean = rng.normal(0, 0.5, shape[1])
    layer.running_var = rng.uniform(0.3, 3, shape[1])
    layer.gamma, layer.beta = rng.uniform(-2, 2, shape[1]), rng.normal(0, 2, shape[1])
    return layer, TorchRenorm(layer)


def last_axes(rng, shape):
    """Some of the last axes, at least two values."""
    k = int(rng.integers(1, len(shape)))
    while np.prod(shape[-k:]) < 2:
        k += 1
    return shape[-k:]


def layer_or_rms(ours, theirs):
    def make(rng, shape, eps):
        axes = last_axes(rng, shape)
        return ours(axes, eps=eps), theirs(axes, eps=eps, **DOUBLE)

    return make


def group(rng, shape, eps):
    c = shape[1]
    divisors = [g for g in range(1, c + 1) if c % g == 0 and np.prod(shape[1:]) // g > 1]
    g = int(rng.choice(divisors))
    return bnlib.GroupNorm(g, c, eps=eps), nn.GroupNorm(g, c, eps=eps, **DOUBLE)


def instance(rng, shape, eps):
    module = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[len(shape)]
    theirs = module(shape[1], eps=eps, affine=True, **DOUBLE)
    return bnlib.InstanceNorm(shape[1], eps=eps, affine=True), theirs


# name: how both layers are made, and the least number of spatial axes
MAKERS = {
    "BatchNorm": (batch(np.float64, torch.float64), 0),
    "BatchNorm, float32": (batch(np.float32, torch.float32), 0),
    "LayerNorm": (layer_or_rms(bnlib.LayerNorm, nn.LayerNorm), 0),
    "RMSNorm": (layer_or_rms(bnlib.RMSNorm, nn.RMSNorm), 0),
    "RMSNorm, default eps": (
        lambda rng, shape, eps: layer_or_rms(bnlib.RMSNorm, nn.RMSNorm)(rng, shape, None),
        0,
    ),
    "GroupNorm": (group, 0),
    "InstanceNorm": (instance, 1),
    "GhostNorm": (ghost, 0),
    "BatchRenorm": (renorm, 0),
}


def random_shape(rng, least_axes, least):
    axes = int(rng.integers(least_axes, 4))
    n, c = int(rng.choice([2, 3, 4, 5, 8, 31, 64])), int(rng.integers(least, 13))
    return (n, c, *(int(k) for k in rng.integers(least, 7 if axes < 3 else 5, axes)))


def differences(name, seed):
    """Largest relative difference of each result, as a share of what is allowed, in one case."""
    rng = np.random.default_rng(seed)
    make, least_axes = MAKERS[name]
    of_batch = name.startswith("BatchNorm")
    shape = random_shape(rng, least_axes, 1 if of_batch else 2)
    ours, theirs = make(rng, shape, float(rng.choice([1e-5, 1e-3, 0.1])))
    if name != "BatchRenorm":
        for array in ours.params.values():
            array[...] = rng.normal(0.5, 1, array.shape)
        state = {k: torch.from_numpy(v.copy()) for k, v in ours.state_dict().items()}
        theirs.load_state_dict(state)  # strict: names and shapes are the same
    dtype = ours.gamma.dtype
    dy = rng.standard_normal(shape).astype(dtype)
    for _ in range(2):
        x = rng.normal(rng.normal(0, 1), rng.uniform(0.5, 3), shape).astype(dtype)
        y, leaf = ours.forward(x), torch.from_numpy(x).requires_grad_()
        theirs.zero_grad()
        expected = theirs(leaf)
    expected.backward(torch.from_numpy(dy))
    pairs = {"y": (y, expected), "dx": (ours.backward(dy), leaf.grad)}
    pairs["dgamma"] = ours.grads["gamma"], theirs.weight.grad
    if "beta" in ours.grads:
        pairs["dbeta"] = ours.grads["beta"], theirs.bias.grad
    if of_batch or name == "GhostNorm":
        pairs["running_mean"] = ours.running_mean, theirs.running_mean
        pairs["running_var"] = ours.running_var, theirs.running_var
    if of_batch:
        pairs["y_eval"] = ours.eval().forward(x), theirs.eval()(torch.from_numpy(x))
    if name == "BatchRenorm":
        pairs["running_mean"] = ours.running_mean, theirs.mean
        pairs["running_var"] = ours.running_var, theirs.std**2 - ours.eps
    # dx of two values, or a sum of many terms, may cancel to nearly nothing.
    summed = np.abs(dy).sum() / ours.gamma.size * 0.1
    least = {"dx": np.abs(ours.gamma).max() * np.abs(dy).max(), "dgamma": summed, "dbeta": summed}
    least["running_mean"] = np.abs(x).max() * 0.1
    worst = {}
    for result, (mine, his) in pairs.items():
        his = his.detach().numpy()
        assert mine.dtype == his.dtype == dtype and mine.shape == his.shape
        scale = max(float(np.abs(his).max()), float(least.get(result, 0.0)))
        worst[result] = float(np.abs(mine - his).max()) / scale / TOLERANCE[dtype]
    return worst


def worst_of(name, cases=200):
    figures = [differences(name, seed) for seed in range(cases)]
    return {result: max(f[result] for f in figures) for result in figures[0]}


@pytest.mark.parametrize("name", MAKERS)
def test_parity_over_200_random_shapes(name):
    worst = worst_of(name)
    assert max(worst.values()) <= 1, worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in MAKERS:
        worst = worst_of(name)
        print(f"{name:<21}", "  ".join(f"{result} {worst[result]:.1e}" for result in worst))
        assert max(worst.values()) <= 1
