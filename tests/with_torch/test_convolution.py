"""Conv2d, MaxPool2d and the CNN against a live PyTorch: `pytest tests/with_torch` (needs torch).

The frozen numbers of tests/reference do the same on every plain run; here the cases are more and
larger, and the weights cross over in both directions.
"""

import numpy as np
import pytest
import torch
from torch import nn

import bnlib

CASES = range(100)


def equal(ours, theirs, tol=1e-10):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tol * max(1, np.abs(theirs).max()))


def torch_cnn(norm):
    def block(c_in, c_out):
        conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=norm is None)
        return [conv, *([nn.BatchNorm2d(c_out)] if norm else []), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(1, 16), *block(16, 32), nn.Flatten(), nn.Linear(32 * 7 * 7, 10)
    ).double()


@pytest.mark.parametrize("seed", CASES)
def test_conv_of_random_shape_stride_and_padding(seed):
    rng = np.random.default_rng(seed)
    c, o, n = (int(v) for v in rng.integers(1, 6, 3))
    kernel, stride, padding = (
        tuple(map(int, rng.integers(a, b, 2))) for a, b in ((1, 6), (1, 4), (0, 4))
    )
    h, w = (int(rng.integers(max(1, k - 2 * p), 16)) for k, p in zip(kernel, padding, strict=True))
    bias = bool(rng.integers(2))
    theirs = nn.Conv2d(c, o, kernel, stride, padding, bias=bias).double()
    ours = bnlib.Conv2d(c, o, kernel, stride, padding, bias)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = rng.standard_normal((n, c, h, w))
    tx = torch.from_numpy(x.copy()).requires_grad_(True)
    y, ty = ours.forward(x), theirs(tx)
    dy = rng.standard_normal(ty.shape)
    ty.backward(torch.from_numpy(dy))
    equal(y, ty)
    equal(ours.backward(dy), tx.grad)
    for name, p in theirs.named_parameters():
        equal(ours.grads[name], p.grad)


@pytest.mark.parametrize("seed", CASES)
def test_pooling_of_random_shape_and_stride_with_ties(seed):
    rng = np.random.default_rng(seed)
    kernel, stride = (tuple(map(int, rng.integers(1, 5, 2))) for _ in range(2))
    shape = tuple(map(int, rng.integers((1, 1, 4, 4), (4, 4, 13, 13))))
    x = rng.integers(0, 3, shape).astype(float)
    tx = torch.from_numpy(x.copy()).requires_grad_(True)
    ours, ty = bnlib.MaxPool2d(kernel, stride), nn.MaxPool2d(kernel, stride)(tx)
    dy = rng.standard_normal(ty.shape)
    ty.backward(torch.from_numpy(dy))
    equal(ours.forward(x), ty, 0)
    equal(ours.backward(dy), tx.grad)


@pytest.mark.parametrize("norm", [None, "batch"])
def test_whole_cnn_for_twenty_steps(norm):
    data = bnlib.load_mnist(shape="image")
    ours, theirs = bnlib.cnn(norm=norm, seed=3), torch_cnn(norm)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    sgd = bnlib.SGD(ours, 0.05, momentum=0.9, weight_decay=1e-3)
    torch_sgd = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9, weight_decay=1e-3)
    for step in range(20):
        x, labels = data.batch(np.arange(16) + 16 * step)
        tx = torch.from_numpy(x).requires_grad_(True)
        logits, tlogits = ours(x), theirs(tx)
        equal(logits, tlogits)
        loss, dlogits = bnlib.softmax_cross_entropy(logits, labels)
        tloss = nn.functional.cross_entropy(tlogits, torch.from_numpy(labels))
        torch_sgd.zero_grad()
        tloss.backward()
        assert loss == pytest.approx(tloss.item(), abs=1e-10)
        equal(ours.backward(dlogits), tx.grad)
        for i, layer in enumerate(ours.layers):
            names = {"gamma": "weight", "beta": "bias"}
            for name, g in layer.grads.items():
                p = getattr(theirs[i], names.get(name, name))
                equal(g.T if isinstance(layer, bnlib.Dense) and g.ndim == 2 else g, p.grad)
        sgd.step()
        torch_sgd.step()
    for name, value in theirs.state_dict().items():
        equal(ours.state_dict()[name], value)
    loaded = bnlib.cnn(norm=norm)
    loaded.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    images, _ = data.test_batch(50)
    expected = theirs.eval()(torch.from_numpy(images))
    equal(ours.eval()(images), expected)
    equal(loaded.eval()(images), expected)
    equal(bnlib.fold_batchnorm(ours)(images), expected)
