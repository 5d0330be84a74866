"""Writes reference.npz, relatives.npz and cnn.npz: what PyTorch computes, frozen.

    pip install torch==2.13.0
    python tests/reference/make_reference.py

So the tests need no PyTorch. Every case holds its inputs and PyTorch's results. Inputs come from
NumPy seeds; results are those of torch.nn modules and autograd, in float64 on the CPU.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

MODULES = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
# name: shape, eps, momentum
BATCH_NORMS = {
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
SIZES, BATCH, STEPS = [8, 6, 5, 4], 10, 20
# name: the module, its arguments, the shape of x, eps
RELATIVES = {
    "LayerNorm/dense": (nn.LayerNorm, (6,), (4, 6), 1e-5),
    "LayerNorm/transformer": (nn.LayerNorm, (5,), (2, 3, 5), 0.1),
    "LayerNorm/two_axes": (nn.LayerNorm, ((4, 4),), (4, 4, 4), 1e-5),
    "RMSNorm/dense": (nn.RMSNorm, (6,), (4, 6), 0.1),
    "RMSNorm/default_eps": (nn.RMSNorm, (5,), (2, 3, 5), None),
    "GroupNorm/dense": (nn.GroupNorm, (2, 6), (4, 6), 1e-5),
    "GroupNorm/images": (nn.GroupNorm, (3, 6), (2, 6, 3, 4), 0.1),
    "GroupNorm/one_group": (nn.GroupNorm, (1, 4), (4, 4, 4, 4), 1e-5),
    "InstanceNorm/one_d": (nn.InstanceNorm1d, (3,), (2, 3, 5), 1e-5),
    "InstanceNorm/images": (nn.InstanceNorm2d, (3,), (3, 3, 3, 3), 0.1),
}
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


def relative_case(module, arguments, shape, eps, seed):
    rng = np.random.default_rng(seed)
    settings = {"affine": True} if "Instance" in module.__name__ else {}
    norm = module(*arguments, eps=eps, dtype=torch.float64, **settings)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0.5, 1, parameter.shape)))
    x, dy = rng.normal(1.5, 2, shape), rng.standard_normal(shape) + 0.5
    leaf = torch.from_numpy(x).requires_grad_()
    y = norm(leaf)
    y.backward(torch.from_numpy(dy))
    arrays = {"eps": np.array(np.nan if eps is None else eps), "x": x, "dy": dy}
    arrays |= {f"state.{name}": v.numpy().copy() for name, v in norm.state_dict().items()}
    arrays |= {f"grad.{name}": p.grad.numpy() for name, p in norm.named_parameters()}
    return arrays | {"y": y.detach().numpy(), "dx": leaf.grad.numpy()}


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


def trained(net, xs, labels, lr, weight_decay):
    """Steps of SGD with momentum: the state before and after, losses, an evaluation."""
    arrays = {f"start.{name}": v.numpy().copy() for name, v in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=0.9, weight_decay=weight_decay)
    losses = []
    for x, label in zip(xs, labels, strict=True):
        x = torch.from_numpy(x).requires_grad_()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), torch.from_numpy(label))
        loss.backward()
        if len(losses) in (0, len(xs) - 1):
            arrays[f"dx.{len(losses)}"] = x.grad.numpy().copy()
        optimizer.step()
        losses.append(loss.item())
    arrays |= {f"end.{name}": v.numpy().copy() for name, v in net.state_dict().items()}
    with torch.no_grad():
        arrays["evaluated"] = net.eval()(torch.from_numpy(xs[0])).numpy()
    return arrays | {"x": xs, "labels": labels, "losses": np.array(losses)}


def network_case():
    """Sigmoid network with batch norm."""
    torch.manual_seed(1)
    layers = []
    for i, (fan_in, fan_out) in enumerate(pairwise(SIZES)):
        last = i == len(SIZES) - 2
        layers.append(nn.Linear(fan_in, fan_out, bias=last))
        layers += [] if last else [nn.BatchNorm1d(fan_out), nn.Sigmoid()]
    rng = np.random.default_rng(3)
    xs = rng.normal(0.5, 1.0, (STEPS, BATCH, SIZES[0]))
    labels = rng.integers(0, SIZES[-1], (STEPS, BATCH))
    return trained(nn.Sequential(*layers).double(), xs, labels, 0.3, 0.01)


def cnn_case(rng):
    """A CNN of two blocks on random images."""
    net = nn.Sequential(
        *(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(4 * 2 * 2, 5)),
    ).double()
    for p in net.parameters():
        p.data = torch.from_numpy(rng.normal(0.1 if p.ndim == 1 else 0, 0.4, p.shape))
    xs = rng.standard_normal((STEPS, 4, 2, 9, 9)) + 0.5
    return trained(net, xs, rng.integers(0, 5, (STEPS, 4)), 0.1, 1e-3)


def reference():
    for seed, (name, settings) in enumerate(BATCH_NORMS.items()):
        yield name + "/", batch_norm_case(*settings, seed)
    yield "network/", network_case()


def relatives():
    for seed, (name, (module, arguments, *settings)) in enumerate(RELATIVES.items()):
        flat = [v for a in arguments for v in (a if isinstance(a, tuple) else (a,))]
        case = relative_case(module, arguments, *settings, seed)
        yield name + "/", case | {"arguments": np.array(flat)}


def cnn():
    rng = np.random.default_rng(7)
    for i, (c, o, kernel, stride, padding, bias, *shape) in enumerate(CONVOLUTIONS):
        layer = nn.Conv2d(c, o, kernel, stride, padding, bias=bias)
        for p in layer.parameters():
            p.data = torch.from_numpy(rng.standard_normal(p.shape))
        n, h, w = shape
        case = {"settings": np.array([*kernel, *stride, *padding])}
        yield f"conv{i}.", case | run(layer, rng.standard_normal((n, c, h, w)), rng)
    for i, (kernel, stride) in enumerate(POOLINGS):
        x = rng.integers(0, 3, (3, 2, 7, 8)).astype(float)  # full of ties
        case = {"settings": np.array([*kernel, *stride])}
        yield f"pool{i}.", case | run(nn.MaxPool2d(kernel, stride), x, rng)
    yield "cnn.", cnn_case(rng)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for archive in (reference, relatives, cnn):
        arrays = {"torch_version": np.array(torch.__version__)}
        for prefix, case in archive():
            arrays |= {f"{prefix}{name}": v for name, v in case.items()}
        path = Path(__file__).with_name(f"{archive.__name__}.npz")
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size:,} bytes")
