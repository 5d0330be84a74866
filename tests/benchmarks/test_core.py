"""Speed of the core, as ratios to PyTorch eager: below 1 is faster. Needs torch.

One thread, float32 (the film: float64), medians of processor time over interleaved runs (ratio.py).
"""

import numpy as np
import torch
from benchmarks import ratio
from torch import nn

from bnlib import SGD, BatchNorm, Recorder, Trainer, load_mnist, mlp, softmax_cross_entropy

SIZES, BATCH = [784, 100, 100, 100, 10], 60
# What the project promises: at most so much of PyTorch's time, or of a run without recording.
TARGETS = {
    # Measured 0.61 to 0.76, by CPU and from run to run.
    "training step, 784-100x3-10 sigmoid + BN, batch 60": (None, 0.85),
    "BN forward + backward (60, 100)": (None, 1.0),
    "BN forward + backward (32, 16, 28, 28)": (None, 0.7),
    "film of 61 frames in 3000 steps": (None, 1.15),
}


def batch_norm(shape):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    layer = BatchNorm(shape[1], dtype=np.float32)
    module = {2: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](shape[1])
    leaf, upstream = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)

    def ours():
        layer.forward(x)
        layer.backward(dy)

    def theirs():
        module.zero_grad()
        leaf.grad = None
        module(leaf).backward(upstream)

    times = ratio.medians({"PyTorch": theirs, "bnlib": ours}, rounds=81)
    return times["bnlib"] / times["PyTorch"]


def training_step():
    rng = np.random.default_rng(0)
    x, labels = rng.random((BATCH, 784)).astype(np.float32), rng.integers(0, 10, BATCH)
    net = mlp(SIZES, "batch", "sigmoid", dtype=np.float32)
    sgd, layers = SGD(net, 0.1), []
    for fan_in, fan_out in zip(SIZES, SIZES[1:]):
        last = fan_out == SIZES[-1]
        layers.append(nn.Linear(fan_in, fan_out, bias=last))
        layers += [] if last else [nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    module = nn.Sequential(*layers)
    torch_sgd = torch.optim.SGD(module.parameters(), lr=0.1)
    tx, tlabels = torch.from_numpy(x), torch.from_numpy(labels)

    def ours():
        _, dlogits = softmax_cross_entropy(net(x), labels)
        net.backward(dlogits, input_gradient=False)
        sgd.step()

    def theirs():
        torch_sgd.zero_grad()
        loss = nn.functional.cross_entropy(module(tx), tlabels)
        loss.backward()
        torch_sgd.step()
        loss.item()

    times = ratio.medians({"PyTorch": theirs, "bnlib": ours})
    return times["bnlib"] / times["PyTorch"]


def frame_of_a_film():
    """A frame's time in steps of a run as in the notebooks: float64, Recorder's default sizes.

    A film's share follows from it; timing whole runs would need minutes for the same figure.
    """
    net, data = mlp(SIZES, "batch", "sigmoid", seed=1), load_mnist(binary=True)
    trainer, recorder = Trainer(net, data, 0.1, BATCH), Recorder(data)
    trainer.advance(1)
    times = ratio.medians(
        {
            "step": lambda: trainer.advance(1),
            "frame": lambda: recorder.record(net, len(recorder.steps), 0.0),
        }
    )
    return times["frame"] / times["step"]


def test_speed_keeps_its_promises():
    torch.set_num_threads(1)
    figures = {"training step, 784-100x3-10 sigmoid + BN, batch 60": training_step()}
    for shape in ((60, 100), (256, 512), (32, 16, 28, 28), (64, 64, 28, 28)):
        figures[f"BN forward + backward {shape}"] = batch_norm(shape)
    frame = frame_of_a_film()
    for frames, steps in ((61, 3000), (31, 300)):
        figures[f"film of {frames} frames in {steps} steps"] = 1 + frames * frame / steps
    ratio.check(figures, TARGETS)
