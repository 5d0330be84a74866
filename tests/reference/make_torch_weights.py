"""Train a small CNN in PyTorch and freeze its state dict and its outputs for test images.

    python tests/reference/make_torch_weights.py

in an environment with torch and bnlib writes bnlib/data/torch_weights.npz.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import bnlib

PATH = Path(__file__).parent.parent.parent / "bnlib" / "data" / "torch_weights.npz"


def main():
    torch.manual_seed(0)
    data = bnlib.load_mnist(pool=True, shape="image")
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 7 * 7, 10)),
    )
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    order = np.random.default_rng(0).permutation(len(data.x_train))
    for step in range(300):
        x, labels = data.batch(order[step * 64 : step * 64 + 64], np.float32)
        loss = nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, labels = data.test_batch(slice(0, 100), np.float32)
    logits = net.eval()(torch.from_numpy(x)).detach().numpy()
    print("accuracy on 100 test images:", (logits.argmax(1) == labels).mean())
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    version = torch.__version__.partition("+")[0]
    np.savez_compressed(PATH, logits=logits, version=version, **state)


if __name__ == "__main__":
    main()
