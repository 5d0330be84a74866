"""A CNN training step: bnlib against PyTorch eager, and against the usual NumPy teaching code.

1-16-32 channels, 3x3, batch norm, ReLU, 2x2 pooling, a batch of 64 images of 28x28, float32, one
thread; interleaved medians of processor time. A step is forward, loss, backward and update.

- usual NumPy: (N, C, H, W) in memory, im2col by fancy indexing, np.add.at on the way back, batch
  norm in stages on the transposed array, pooling by reshape and max over two axes.
- convolutions: forward and backward of the two convolutions alone.
"""

import numpy as np
import torch
from benchmarks import ratio
from torch import nn

import bnlib

TARGETS = {
    "bnlib / PyTorch": (None, 1.0),
    "usual NumPy / bnlib": (4.0, None),
    "convolutions, fancy / bnlib": (4.0, None),
}


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


class StagedBatchNorm(bnlib.BatchNorm):
    """Channels last by a transpose, then one array for every node of the graph."""

    def forward(self, x):
        n, c, h, w = x.shape
        x = x.transpose(0, 2, 3, 1).reshape(-1, c)
        mu = x.mean(axis=0)
        centred = x - mu
        var = (centred**2).mean(axis=0)
        std = np.sqrt(var + self.eps)
        xhat = centred / std
        y = self.gamma * xhat + self.beta
        self.running_mean = 0.9 * self.running_mean + 0.1 * mu
        self.running_var = 0.9 * self.running_var + 0.1 * var * len(x) / (len(x) - 1)
        self._cache = centred, std, xhat
        return y.reshape(n, h, w, c).transpose(0, 3, 1, 2)

    def backward(self, dy):
        (n, c, h, w), (centred, std, xhat) = dy.shape, self._cache
        dy = dy.transpose(0, 2, 3, 1).reshape(-1, c)
        self.grads["beta"][...] = dy.sum(axis=0)
        self.grads["gamma"][...] = (dy * xhat).sum(axis=0)
        dxhat = dy * self.gamma
        dvar = -0.5 * (dxhat * centred).sum(axis=0) / std**3
        dmu = -(dxhat / std).sum(axis=0)
        dx = dxhat / std + dvar * 2 * centred / len(dy) + dmu / len(dy)
        return dx.reshape(n, h, w, c).transpose(0, 3, 1, 2)


class ReshapeMaxPool2d(bnlib.MaxPool2d):
    """Windows as two axes of their own."""

    def forward(self, x):
        n, c, h, w = x.shape
        windows = x.reshape(n, c, h // 2, 2, w // 2, 2)
        y = windows.max(axis=(3, 5))
        self._cache = windows, y
        return y

    def backward(self, dy):
        windows, y = self._cache
        mask = windows == y[:, :, :, None, :, None]
        dx = mask * dy[:, :, :, None, :, None] / mask.sum(axis=(3, 5), keepdims=True)
        n, c, h, _, w, _ = dx.shape
        return dx.reshape(n, c, 2 * h, 2 * w).astype(dy.dtype, copy=False)


def step(net, optimizer, x, labels):
    loss, dlogits = bnlib.softmax_cross_entropy(net(x), labels)
    net.backward(dlogits, input_gradient=False)
    optimizer.step()
    return loss


def networks():
    """Three equal networks: bnlib's, the usual NumPy, PyTorch's."""
    ours = bnlib.cnn(norm="batch", dtype=np.float32)

    def replaced(layer):
        if isinstance(layer, bnlib.Conv2d):
            settings = {"padding": 1, "bias": False, "dtype": np.float32}
            return FancyConv2d(layer.in_channels, layer.out_channels, 3, **settings)
        if isinstance(layer, bnlib.BatchNorm):
            return StagedBatchNorm(layer.num_features, dtype=np.float32)
        return ReshapeMaxPool2d(2) if isinstance(layer, bnlib.MaxPool2d) else layer

    layers = bnlib.cnn(norm="batch", dtype=np.float32).layers
    usual = bnlib.Sequential([replaced(layer) for layer in layers])
    theirs = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
        *(nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)),
        *(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 7 * 7, 10)),
    )
    usual.load_state_dict(ours.state_dict())
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    return ours, usual, theirs


def convolve(net, x, inner):
    """Both convolutions, forward and backward; ``inner`` is what the second one gets."""
    first, second = (v for v in net.layers if isinstance(v, bnlib.Conv2d))
    first.backward_params(first.forward(x))
    second.backward(second.forward(inner))


def test_targets():
    torch.set_num_threads(1)
    ours, usual, theirs = networks()
    x, labels = bnlib.load_mnist(shape="image").batch(np.arange(64), np.float32)
    tx, tlabels = torch.from_numpy(x), torch.from_numpy(labels)
    torch_sgd = torch.optim.SGD(theirs.parameters(), 0.01)
    sgd, usual_sgd = (bnlib.SGD(net, 0.01) for net in (ours, usual))
    inner = np.random.default_rng(0).random((64, 16, 14, 14), np.float32)
    batch_last = np.ascontiguousarray(inner.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)

    def torch_step():
        torch_sgd.zero_grad()
        loss = nn.functional.cross_entropy(theirs(tx), tlabels)
        loss.backward()
        torch_sgd.step()
        return loss.item()

    functions = {
        "bnlib": lambda: step(ours, sgd, x, labels),
        "PyTorch": torch_step,
        "usual NumPy": lambda: step(usual, usual_sgd, x, labels),
    }
    for _ in range(3):
        losses = [f() for f in functions.values()]
        assert np.ptp(losses) < 1e-4, f"the networks do not compute the same loss: {losses}"
    # Against PyTorch first and alone: the naive versions leave memory in pieces for all others.
    first = ratio.medians({k: functions[k] for k in ("bnlib", "PyTorch")}, 41)
    naive = {k: functions[k] for k in ("bnlib", "usual NumPy")} | {
        "convolutions": lambda: convolve(ours, x, batch_last),
        "fancy": lambda: convolve(usual, x, inner),
    }
    times = ratio.medians(naive, 11)
    figures = {
        "bnlib / PyTorch": first["bnlib"] / first["PyTorch"],
        "usual NumPy / bnlib": times["usual NumPy"] / times["bnlib"],
        "convolutions, fancy / bnlib": times["fancy"] / times["convolutions"],
    }
    ratio.check(figures, TARGETS)
