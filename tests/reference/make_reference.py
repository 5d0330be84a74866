"""Writes reference.npz: what PyTorch computes, frozen, so that the tests need no PyTorch.

    pip install torch==2.13.0
    python tests/reference/make_reference.py

Every case holds its inputs and PyTorch's results. Inputs come from NumPy seeds; results are those
of torch.nn modules and autograd, in float64 on the CPU.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

OUT = Path(__file__).parent / "reference.npz"
MODULES = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
# name: shape, eps, momentum
CASES = {
    "dense": ((5, 3), 1e-5, 0.1),
    "dense_square_large_eps": ((4, 4), 0.1, 0.3),
    "two_examples": ((2, 3), 1e-5, 0.1),
    "large_batch": ((70, 2), 1e-3, 0.5),
    "one_d": ((3, 4, 5), 0.1, 0.1),
    "two_d": ((3, 2, 4, 5), 1e-5, 0.25),
    "two_d_square": ((3, 3, 3, 3), 0.1, 1.0),
    "three_d": ((2, 3, 2, 4, 3), 1e-5, 0.1),
    "momentum_none": ((4, 3), 1e-5, None),
    "momentum_none_two_d": ((2, 3, 4, 2), 0.1, None),
}
SIZES, BATCH, STEPS, LR = [8, 6, 5, 4], 10, 20, 0.3


def batch_norm_case(shape, eps, momentum, seed):
    """Three training batches, gradients of the last, then evaluation mode."""
    rng = np.random.default_rng(seed)
    c = shape[1]
    bn = MODULES[len(shape)](c, eps=eps, momentum=momentum, dtype=torch.float64)
    gamma, beta = rng.uniform(0.3, 2, c) * rng.choice([-1, 1], c), rng.normal(0, 2, c)
    with torch.no_grad():
        bn.weight.copy_(torch.from_numpy(gamma))
        bn.bias.copy_(torch.from_numpy(beta))
    xs = rng.normal(1.5, 2.0, (3, *shape)) + rng.normal(0, 3, (1, 1, c) + (1,) * (len(shape) - 2))
    dy = rng.standard_normal(shape) + 0.5
    means, variances = [], []
    for x in xs:
        bn.zero_grad()
        x = torch.from_numpy(x).requires_grad_()
        y = bn(x)
        means.append(bn.running_mean.numpy().copy())
        variances.append(bn.running_var.numpy().copy())
    y.backward(torch.from_numpy(dy))
    evaluated = bn.eval()(torch.from_numpy(xs[0]))
    return {
        "eps": np.array(eps),
        "momentum": np.array(np.nan if momentum is None else momentum),
        "gamma": gamma,
        "beta": beta,
        "xs": xs,
        "dy": dy,
        "y": y.detach().numpy(),
        "dx": x.grad.numpy(),
        "dgamma": bn.weight.grad.numpy(),
        "dbeta": bn.bias.grad.numpy(),
        "running_means": np.array(means),
        "running_vars": np.array(variances),
        "y_eval": evaluated.detach().numpy(),
    }


def network_case():
    """Sigmoid network with batch norm, 20 steps of SGD with momentum and weight decay."""
    torch.manual_seed(1)
    layers = []
    for i, (fan_in, fan_out) in enumerate(zip(SIZES, SIZES[1:])):
        last = i == len(SIZES) - 2
        layers.append(nn.Linear(fan_in, fan_out, bias=last))
        layers += [] if last else [nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    net = nn.Sequential(*layers).double()
    start = {name: v.numpy().copy() for name, v in net.state_dict().items()}
    rng = np.random.default_rng(3)
    xs = rng.normal(0.5, 1.0, (STEPS, BATCH, SIZES[0]))
    labels = rng.integers(0, SIZES[-1], (STEPS, BATCH))
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9, weight_decay=0.01)
    losses = []
    for x, label in zip(xs, labels):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(label))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    end = {name: v.numpy().copy() for name, v in net.state_dict().items()}
    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(xs[0])).numpy()
    arrays = {"xs": xs, "labels": labels, "losses": np.array(losses), "logits_eval": logits}
    arrays |= {f"start.{name}": v for name, v in start.items()}
    return arrays | {f"end.{name}": v for name, v in end.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    arrays = {"torch_version": np.array(torch.__version__)}
    for seed, (name, settings) in enumerate(CASES.items()):
        arrays |= {f"{name}/{k}": v for k, v in batch_norm_case(*settings, seed).items()}
    arrays |= {f"network/{name}": v for name, v in network_case().items()}
    np.savez_compressed(OUT, **arrays)
    print(f"{OUT.name}: {len(arrays)} arrays, {OUT.stat().st_size:,} bytes")
