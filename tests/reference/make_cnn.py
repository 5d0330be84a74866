"""Writes cnn.npz: what PyTorch 2.13 computes for convolutions, poolings and a small CNN.

    python tests/reference/make_cnn.py        (needs torch; the tests need only the file)

Shares no code with bnlib. Everything is float64.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

# in, out, kernel, stride, padding, bias, N, H, W
CONVOLUTIONS = [
    (2, 3, (3, 3), (1, 1), (1, 1), True, 4, 6, 5),
    (1, 4, (3, 3), (1, 1), (1, 1), False, 3, 7, 7),
    (3, 2, (2, 3), (2, 1), (0, 1), True, 2, 7, 6),
    (3, 3, (3, 3), (3, 3), (0, 0), True, 3, 8, 10),
    (2, 5, (1, 1), (1, 1), (0, 0), False, 5, 4, 4),
    (4, 1, (5, 2), (2, 3), (3, 1), True, 1, 9, 8),
    (2, 2, (4, 4), (1, 2), (2, 0), True, 3, 4, 5),
]
POOLINGS = [  # kernel, stride
    ((2, 2), (2, 2)),
    ((3, 3), (2, 2)),
    ((2, 3), (1, 2)),
    ((2, 2), (3, 3)),
    ((3, 1), (2, 1)),
]
STEPS = 20


def main():
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(7)
    arrays = {}
    for i, (c, o, kernel, stride, padding, bias, n, h, w) in enumerate(CONVOLUTIONS):
        layer = nn.Conv2d(c, o, kernel, stride, padding, bias=bias)
        for p in layer.parameters():
            p.data = torch.from_numpy(rng.standard_normal(p.shape))
        case = {"settings": np.array([*kernel, *stride, *padding])}
        case |= run(layer, rng.standard_normal((n, c, h, w)), rng)
        arrays |= {f"conv{i}.{k}": v for k, v in case.items()}
    for i, (kernel, stride) in enumerate(POOLINGS):
        x = rng.integers(0, 3, (3, 2, 7, 8)).astype(float)  # full of ties
        case = {"settings": np.array([*kernel, *stride])}
        case |= run(nn.MaxPool2d(kernel, stride), x, rng)
        arrays |= {f"pool{i}.{k}": v for k, v in case.items()}
    arrays |= {f"cnn.{k}": v for k, v in train(rng).items()}
    np.savez_compressed(Path(__file__).with_name("cnn.npz"), **arrays)


def run(layer, x, rng):
    """Forward and backward with a random upstream gradient."""
    x = torch.from_numpy(x).requires_grad_(True)
    y = layer(x)
    dy = torch.from_numpy(rng.standard_normal(y.shape))
    y.backward(dy)
    arrays = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    for name, p in layer.named_parameters():
        arrays |= {name: p, f"d{name}": p.grad}
    return {k: v.detach().numpy() for k, v in arrays.items()}


def train(rng):
    """A CNN of two blocks on random images, 20 steps of SGD with momentum and weight decay."""
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 2 * 2, 5),
    )
    for p in net.parameters():
        p.data = torch.from_numpy(rng.normal(0.1 if p.ndim == 1 else 0, 0.4, p.shape))
    arrays = {f"start.{k}": v.numpy().copy() for k, v in net.state_dict().items()}
    x = rng.standard_normal((STEPS, 4, 2, 9, 9)) + 0.5
    labels = rng.integers(0, 5, (STEPS, 4))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-3)
    losses = []
    for images, target in zip(x, labels, strict=True):
        images = torch.from_numpy(images).requires_grad_(True)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), torch.from_numpy(target))
        loss.backward()
        if not losses:
            arrays |= {f"gradient.{k}": p.grad.numpy().copy() for k, p in net.named_parameters()}
        if len(losses) in (0, STEPS - 1):
            arrays[f"dx.{len(losses)}"] = images.grad.numpy().copy()
        optimizer.step()
        losses.append(loss.item())
    arrays |= {f"end.{k}": v.numpy().copy() for k, v in net.state_dict().items()}
    net.eval()
    with torch.no_grad():
        arrays["evaluated"] = net(torch.from_numpy(x[0])).numpy()
    return arrays | {"x": x, "labels": labels, "losses": np.array(losses)}


if __name__ == "__main__":
    main()
