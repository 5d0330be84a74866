"""Speed of the core against PyTorch eager and naive NumPy. Needs torch; not part of `pytest`.

    python tests/benchmarks/bench_core.py     or     pytest tests/benchmarks/bench_core.py

One thread, float32 (the film: float64), medians of processor time over interleaved runs
(ratio.py), as ratios to PyTorch: below 1 is faster. The naive comparators are the textbook code:
statistics by x.mean and x.var, the backward pass in the stages of the paper.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is loaded

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from ratio import medians

from bnlib import SGD, BatchNorm, Recorder, Trainer, load_mnist, mlp, softmax_cross_entropy

torch.set_num_threads(1)

# What the project promises: at most so much of PyTorch's time, or of a run without recording.
BAR = {
    "training step, 784-100x3-10 sigmoid + BN, batch 60": 0.65,
    "BN forward + backward (60, 100)": 1.0,
    "BN forward + backward (32, 16, 28, 28)": 0.7,
    "film of 61 frames in 3000 steps": 1.15,
}
MODULES = {2: nn.BatchNorm1d, 4: nn.BatchNorm2d}


# -- Batch normalization alone -------------------------------------------------------------------


def naive_batch_norm(x, dy, gamma, beta, eps=1e-5):
    """Textbook forward and backward over axis 0 (and the positions), stage by stage."""
    axes = (0, *range(2, x.ndim))
    mu = x.mean(axis=axes, keepdims=True)
    var = x.var(axis=axes, keepdims=True)
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    y = gamma * xhat + beta
    m = x.size // x.shape[1]
    dgamma, dbeta = (dy * xhat).sum(axis=axes), dy.sum(axis=axes)
    dxhat = dy * gamma
    dvar = (dxhat * (x - mu) * -0.5 * std**-3).sum(axis=axes, keepdims=True)
    dmu = (-dxhat / std).sum(axis=axes, keepdims=True) + dvar * (-2 * (x - mu)).mean(
        axis=axes, keepdims=True
    )
    dx = dxhat / std + dvar * 2 * (x - mu) / m + dmu / m
    return y, dx, dgamma, dbeta


def batch_norm_times(shape):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    layer = BatchNorm(shape[1], dtype=np.float32)
    module, leaf = MODULES[len(shape)](shape[1]), torch.from_numpy(x).requires_grad_()
    upstream = torch.from_numpy(dy)
    one = np.ones((1, shape[1]) + (1,) * (len(shape) - 2), np.float32)

    def ours():
        layer.forward(x)
        layer.backward(dy)

    def theirs():
        module.zero_grad()
        leaf.grad = None
        module(leaf).backward(upstream)

    return medians(
        {
            "PyTorch": theirs,
            "bnlib": ours,
            "naive": lambda: naive_batch_norm(x, dy, one, 0 * one),
        },
        rounds=81,
    )


# -- A training step -----------------------------------------------------------------------------

SIZES, BATCH = [784, 100, 100, 100, 10], 60


def training_step_times():
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 784)).astype(np.float32)
    labels = rng.integers(0, 10, BATCH)
    return medians(
        {
            "PyTorch": torch_step(x, labels),
            "bnlib": bnlib_step(x, labels),
            "naive": naive_step(x, labels),
        }
    )


def bnlib_step(x, labels):
    net = mlp(SIZES, "batch", "sigmoid", dtype=np.float32)
    optimizer = SGD(net, 0.1)

    def step():
        loss, dlogits = softmax_cross_entropy(net(x), labels)
        net.backward(dlogits, input_gradient=False)
        optimizer.step()
        return loss

    return step


def torch_step(x, labels):
    layers = []
    for i, (fan_in, fan_out) in enumerate(zip(SIZES, SIZES[1:])):
        last = i == len(SIZES) - 2
        layers.append(nn.Linear(fan_in, fan_out, bias=last))
        layers += [] if last else [nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    net = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def naive_step(x, labels):
    """The same network as a first version would have it: a list of arrays, everything staged."""
    rng = np.random.default_rng(0)
    weights = [
        (rng.standard_normal((a, b)) * a**-0.5).astype(np.float32) for a, b in zip(SIZES, SIZES[1:])
    ]
    biases = [np.zeros(b, np.float32) for b in SIZES[1:]]
    gammas = [np.ones((1, b), np.float32) for b in SIZES[1:-1]]
    betas = [np.zeros((1, b), np.float32) for b in SIZES[1:-1]]

    def step(eps=1e-5, lr=0.1):
        a, kept = x, []
        for w, b, gamma, beta in zip(weights, biases, gammas, betas):
            z = a @ w + b
            mu, var = z.mean(axis=0), z.var(axis=0)
            std = np.sqrt(var + eps)
            xhat = (z - mu) / std
            kept.append((a, z - mu, std, xhat))
            a = 1 / (1 + np.exp(-(gamma * xhat + beta)))
            kept[-1] += (a,)
        logits = a @ weights[-1] + biases[-1]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = shifted / shifted.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(p)), labels]).mean()
        dz = (p - np.eye(SIZES[-1], dtype=np.float32)[labels]) / len(p)
        grads = [(a.T @ dz, dz.sum(axis=0))]
        da = dz @ weights[-1].T
        for i in reversed(range(len(gammas))):
            source, centred, std, xhat, out = kept[i]
            dy = da * out * (1 - out)
            dgamma, dbeta = (dy * xhat).sum(axis=0), dy.sum(axis=0)
            dxhat = dy * gammas[i]
            dvar = (dxhat * centred * -0.5 * std**-3).sum(axis=0)
            dmu = (-dxhat / std).sum(axis=0) + dvar * (-2 * centred).mean(axis=0)
            dz = dxhat / std + dvar * 2 * centred / len(x) + dmu / len(x)
            da = dz @ weights[i].T
            gammas[i], betas[i] = gammas[i] - lr * dgamma, betas[i] - lr * dbeta
            grads.insert(0, (source.T @ dz, dz.sum(axis=0)))
        for i, (dw, db) in enumerate(grads):
            weights[i], biases[i] = weights[i] - lr * dw, biases[i] - lr * db
        return loss

    return step


# -- Recording -----------------------------------------------------------------------------------


def film_times(data):
    """One step and one frame of a run as in the notebooks: float64, Recorder's default sizes.

    A film's share follows from the two; timing whole runs would need minutes for the same figure.
    """
    net = mlp(SIZES, "batch", "sigmoid", seed=1)
    trainer, recorder = Trainer(net, data, 0.1, BATCH), Recorder(data)
    trainer.advance(1)

    def frame():
        recorder.record(net, len(recorder.steps), 0.0)

    return medians({"step": lambda: trainer.advance(1), "frame": frame})


# -- Table ---------------------------------------------------------------------------------------


def measure():
    """All ratios: name -> (ratio of the bar, note)."""
    rows = {}
    times = training_step_times()
    rows["training step, 784-100x3-10 sigmoid + BN, batch 60"] = against_torch(times)
    for shape in ((60, 100), (256, 512), (32, 16, 28, 28), (64, 64, 28, 28)):
        rows[f"BN forward + backward {shape}"] = against_torch(batch_norm_times(shape))
    times = film_times(load_mnist(binary=True))
    step, frame = times["step"], times["frame"]
    for frames, steps in ((61, 3000), (31, 300)):
        rows[f"film of {frames} frames in {steps} steps"] = (
            1 + frames * frame / (steps * step),
            f"step {step * 1e3:.2f} ms, frame {frame * 1e3:.2f} ms",
        )
    return rows


def against_torch(times):
    naive, ours, theirs = times["naive"], times["bnlib"], times["PyTorch"]
    return ours / theirs, f"naive NumPy {naive / theirs:.2f}; PyTorch {theirs * 1e6:.0f} us"


def test_speed_keeps_its_promises():
    rows = measure()
    show(rows)
    missed = {name: ratio for name, (ratio, _) in rows.items() if ratio > BAR.get(name, np.inf)}
    assert not missed, missed


def show(rows):
    print(f"\nNumPy {np.__version__}, PyTorch {torch.__version__}, CPU time, one thread, float32")
    for name, (ratio, note) in rows.items():
        bar = f"(at most {BAR[name]:.2f})" if name in BAR else ""
        print(f"{name:<52} {ratio:5.2f} {bar:<14}  {note}")


if __name__ == "__main__":
    test_speed_keeps_its_promises()
