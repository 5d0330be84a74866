"""A CNN training step: bnlib against PyTorch eager, and against im2col by fancy indexing.

    python tests/benchmarks/bench_cnn.py
    pytest tests/benchmarks/bench_cnn.py        (the same, checked against the targets)

1-16-32 channels, 3x3, batch norm, ReLU, 2x2 pooling, a batch of 64 images of 28x28, float32, one
thread; interleaved medians of processor time. A step is forward, loss, backward and update.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import ratio
import torch
from torch import nn

import bnlib

TARGETS = {"bnlib / PyTorch": (None, 1.0), "fancy indexing / bnlib": (4.0, None)}


class FancyConv2d(bnlib.Conv2d):
    """The usual teaching version: one index array for all windows, np.add.at on the way back."""

    def forward(self, x):
        (n, c, h, w), (kh, kw) = x.shape, self.kernel_size
        p = self.padding[0]
        rows, cols = h + 2 * p - kh + 1, w + 2 * p - kw + 1
        i = np.tile(np.repeat(np.arange(kh), kw), c)[:, None]
        i = i + np.repeat(np.arange(rows), cols)
        j = np.tile(np.arange(kw), kh * c)[:, None] + np.tile(np.arange(cols), rows)
        k = np.repeat(np.arange(c), kh * kw)[:, None]
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        columns = padded[:, k, i, j].transpose(1, 2, 0).reshape(c * kh * kw, -1)
        self._cache = padded.shape, columns, (k, i, j)
        y = (self._matrix(self.weight) @ columns).reshape(self.out_channels, rows, cols, n)
        return np.ascontiguousarray(y.transpose(3, 0, 1, 2))

    def backward(self, dy):
        dy = self.backward_params(dy)
        shape, columns, (k, i, j) = self._cache
        dcolumns = (self._matrix(self.weight).T @ dy).reshape(len(columns), -1, shape[0])
        dx = np.zeros(shape, dy.dtype)
        np.add.at(dx, (slice(None), k, i, j), dcolumns.transpose(2, 0, 1))
        p = self.padding[0]
        return dx[:, :, p:-p, p:-p]

    def backward_params(self, dy):
        _, columns, _ = self._cache
        dy = dy.transpose(1, 2, 3, 0).reshape(self.out_channels, -1)
        self._matrix(self.grads["weight"])[...] = dy @ columns.T
        return dy


def step(net, optimizer, x, labels):
    loss, dlogits = bnlib.softmax_cross_entropy(net(x), labels)
    net.backward(dlogits, input_gradient=False)
    optimizer.step()
    return loss


def networks():
    """Three equal networks: bnlib's, the one with fancy indexing, PyTorch's."""
    ours = bnlib.cnn(norm="batch", dtype=np.float32)
    layers = [
        FancyConv2d(v.in_channels, v.out_channels, 3, padding=1, bias=False, dtype=np.float32)
        if isinstance(v, bnlib.Conv2d) else v
        for v in bnlib.cnn(norm="batch", dtype=np.float32).layers
    ]
    fancy = bnlib.Sequential(layers)
    theirs = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )
    fancy.load_state_dict(ours.state_dict())
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    return ours, fancy, theirs


def measure(rounds=25):
    """Name -> ratio."""
    torch.set_num_threads(1)
    ours, fancy, theirs = networks()
    x, labels = bnlib.load_mnist(shape="image").batch(np.arange(64), np.float32)
    tx, tlabels = torch.from_numpy(x), torch.from_numpy(labels)
    torch_sgd = torch.optim.SGD(theirs.parameters(), 0.01)
    sgd, fancy_sgd = bnlib.SGD(ours, 0.01), bnlib.SGD(fancy, 0.01)

    def torch_step():
        torch_sgd.zero_grad()
        loss = nn.functional.cross_entropy(theirs(tx), tlabels)
        loss.backward()
        torch_sgd.step()
        return loss.item()

    functions = {
        "bnlib": lambda: step(ours, sgd, x, labels),
        "PyTorch": torch_step,
        "fancy": lambda: step(fancy, fancy_sgd, x, labels),
    }
    first = [f() for f in functions.values()]
    assert np.ptp(first) < 1e-4, f"the three networks do not compute the same loss: {first}"
    times = ratio.medians(functions, rounds, calls=dict.fromkeys(functions, 1))
    return times, {
        "bnlib / PyTorch": times["bnlib"] / times["PyTorch"],
        "fancy indexing / bnlib": times["fancy"] / times["bnlib"],
    }


def test_targets():
    _, ratios = measure()
    for name, (least, most) in TARGETS.items():
        assert (least is None or ratios[name] >= least) and (most is None or ratios[name] <= most), (
            f"{name}: {ratios[name]:.2f}"
        )


if __name__ == "__main__":
    times, ratios = measure()
    for name, value in times.items():
        print(f"{name:24} {value * 1e3:7.1f} ms")
    for name, value in ratios.items():
        print(f"{name:24} {value:7.2f}   target {TARGETS[name]}")
