"""Writes relatives.npz: what LayerNorm and its kin in PyTorch compute, frozen as reference.npz is.

pip install torch==2.13.0
python tests/reference/make_relatives.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

OUT = Path(__file__).parent / "relatives.npz"
# name: the module, its arguments, the shape of x, eps
CASES = {
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


def results(module, arguments, shape, eps, seed):
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    arrays = {"torch_version": np.array(torch.__version__)}
    for seed, (name, (module, arguments, *settings)) in enumerate(CASES.items()):
        arrays |= {f"{name}/{k}": v for k, v in results(module, arguments, *settings, seed).items()}
        flat = [v for a in arguments for v in (a if isinstance(a, tuple) else (a,))]
        arrays[f"{name}/arguments"] = np.array(flat)
    np.savez_compressed(OUT, **arrays)
    print(f"{OUT.name}: {len(arrays)} arrays, {OUT.stat().st_size:,} bytes")
