"""A sweep against the same loop in PyTorch: a 6 x 6 grid with and without batch norm.

72 networks 196-100-100-100-10 (MNIST pooled to 14x14), ReLU, 300 steps each of batches of 60,
float32, one thread. Both sides draw batches, keep every loss, stop when it is no longer finite and
measure the accuracy on 1,000 test images. Each row of the grid (one learning rate, 12 networks)
runs here and there in turn, in processor time.
"""

from itertools import pairwise

import numpy as np
import torch
from benchmarks import ratio
from torch import nn

import bnlib

TARGETS = {"bnlib / PyTorch": (None, 0.75)}
SIZES = [196, 100, 100, 100, 10]
GRID = {
    "norm": [None, "batch"],
    "lr": np.geomspace(0.01, 3, 6).tolist(),
    "init_scale": np.geomspace(0.1, 10, 6).tolist(),
}
STEPS, BATCH = 300, 60


def torch_run(images, labels, test_images, test_labels, norm, lr, init_scale):
    """The loop as one writes it in PyTorch; the images are floats already."""
    layers = []
    for fan_in, fan_out in pairwise(SIZES):
        last = fan_out == SIZES[-1]
        linear = nn.Linear(fan_in, fan_out, bias=last or norm is None)
        nn.init.normal_(linear.weight, std=init_scale * fan_in**-0.5)
        layers.append(linear)
        if not last:
            layers += [nn.BatchNorm1d(fan_out)] if norm else []
            layers.append(nn.ReLU())
    net = nn.Sequential(*layers)
    optimizer, losses = torch.optim.SGD(net.parameters(), lr), []
    order = torch.randperm(len(images))
    for i in range(STEPS):
        indices = order[i * BATCH : (i + 1) * BATCH]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images[indices]), labels[indices])
        loss.backward()
        losses.append(loss.item())
        if not np.isfinite(losses[-1]):
            return None
        optimizer.step()
    net.eval()
    with torch.no_grad():
        return (net(test_images).argmax(1) == test_labels).float().mean().item()


def test_target():
    torch.set_num_threads(1)
    data = bnlib.load_mnist(pool=True)
    tensors = [torch.from_numpy(v.copy()) for v in data.batch(slice(None), np.float32)]
    tensors += [torch.from_numpy(v.copy()) for v in data.test_batch(1000, np.float32)]
    settings = {"steps": STEPS, "batch_size": BATCH, "dtype": np.float32, "progress": False}

    def ours(lr, scales=GRID["init_scale"]):
        grid = {"norm": GRID["norm"], "init_scale": scales}
        bnlib.sweep(data, SIZES, grid, lr=lr, **settings)

    def theirs(lr):
        for norm in GRID["norm"]:
            for scale in GRID["init_scale"]:
                torch_run(*tensors, norm, lr, scale)

    torch_run(*tensors, "batch", 0.1, 1.0)
    ours(0.1, [1.0])
    times = np.array([[ratio.seconds(f, lr) for f in (ours, theirs)] for lr in GRID["lr"]])
    figures = {f"lr {lr:.2f}": a / b for lr, (a, b) in zip(GRID["lr"], times, strict=True)}
    total = times.sum(axis=0)
    ratio.check(figures | {"bnlib / PyTorch": total[0] / total[1]}, TARGETS)
