"""bnlib against results of PyTorch, frozen in reference/*.npz (no PyTorch needed).

tests/with_torch compares with an installed PyTorch over hundreds of random shapes.
"""

from pathlib import Path

import numpy as np
import pytest
from cases import LAYOUTS, close, lay_out

import bnlib
from bnlib.losses import softmax_cross_entropy
from bnlib.network import mlp
from bnlib.norms import BatchNorm
from bnlib.optim import SGD


def load(name):
    with np.load(Path(__file__).parent / "reference" / name) as archive:
        return {name: archive[name] for name in archive.files}


REFERENCE, RELATIVES = load("reference.npz"), load("relatives.npz")
CASES = sorted({name.split("/")[0] for name in REFERENCE} - {"network", "torch_version"})


def arrays_of(case):
    return {k.split("/")[1]: v for k, v in REFERENCE.items() if k.startswith(f"{case}/")}


def test_the_reference_holds_every_kind_of_input():
    shapes = {case: arrays_of(case)["dy"].shape for case in CASES}
    assert {len(shape) for shape in shapes.values()} == {2, 3, 4, 5}
    assert str(REFERENCE["torch_version"]).startswith("2.")
    assert sum(np.isnan(arrays_of(case)["momentum"]) for case in CASES) == 2
    assert {float(arrays_of(case)["eps"]) for case in CASES} >= {1e-5, 0.1}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_batch_norm_equals_pytorch(case, layout):
    r = arrays_of(case)
    momentum = None if np.isnan(r["momentum"]) else float(r["momentum"])
    bn = BatchNorm(len(r["gamma"]), eps=float(r["eps"]), momentum=momentum)
    bn.gamma, bn.beta = r["gamma"], r["beta"]
    for step, x in enumerate(r["xs"]):
        y = bn.forward(lay_out(x, layout))
        close(bn.running_mean, r["running_means"][step], 1e-12)
        close(bn.running_var, r["running_vars"][step], 1e-12)
    close(y, r["y"], 1e-12)
    # With two examples dx is nearly 0, a difference of larger numbers: measure against those.
    close(bn.backward(r["dy"]), r["dx"], 1e-11, scale=max(np.abs(r["dx"]).max(), 0.1))
    close(bn.grads["gamma"], r["dgamma"], 1e-12)
    close(bn.grads["beta"], r["dbeta"], 1e-12)
    close(bn.eval().forward(lay_out(r["xs"][0], layout)), r["y_eval"], 1e-12)


def state_of(prefix):
    return {
        k.removeprefix(f"network/{prefix}."): v
        for k, v in REFERENCE.items()
        if k.startswith(f"network/{prefix}.")
    }


def test_weights_of_pytorch_load_and_train_to_the_same_network():
    """nn.Sequential's state dict goes in, 20 steps are trained, the same state dict comes out."""
    r = arrays_of("network")
    net = mlp([8, 6, 5, 4], "batch", "sigmoid")
    net.load_state_dict(state_of("start"))
    optimizer = SGD(net, lr=0.3, momentum=0.9, weight_decay=0.01)
    for x, labels, expected in zip(r["xs"], r["labels"], r["losses"]):
        loss, dlogits = softmax_cross_entropy(net(x), labels)
        net.backward(dlogits)
        optimizer.step()
        assert loss == pytest.approx(expected, rel=1e-10)
    end, state = state_of("end"), net.state_dict()
    assert list(state) == list(end)  # names and order are PyTorch's
    for name, v in state.items():
        assert v.dtype == end[name].dtype
        close(v, end[name], 1e-9)
    close(net.eval()(r["xs"][0]), r["logits_eval"], 1e-9)


def test_the_end_state_of_pytorch_gives_its_evaluation_output():
    net = mlp([8, 6, 5, 4], "batch", "sigmoid", seed=5)
    net.load_state_dict(state_of("end"))
    logits = net.eval()(REFERENCE["network/xs"][0])
    close(logits, REFERENCE["network/logits_eval"], 1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "case", sorted({name.rpartition("/")[0] for name in RELATIVES} - {""}), ids=str
)
def test_the_relatives_equal_pytorch(case, layout):
    r = {k.rpartition("/")[2]: v for k, v in RELATIVES.items() if k.startswith(f"{case}/")}
    arguments, eps = r["arguments"].tolist(), None if np.isnan(r["eps"]) else float(r["eps"])
    kind = case.split("/")[0]
    if kind in ("LayerNorm", "RMSNorm"):
        arguments = [tuple(arguments)]
    settings = {"affine": True} if kind == "InstanceNorm" else {}
    norm = getattr(bnlib, kind)(*arguments, eps=eps, **settings)
    norm.load_state_dict(
        {name.removeprefix("state."): v for name, v in r.items() if name.startswith("state.")}
    )
    close(norm.forward(lay_out(r["x"], layout)), r["y"], 1e-12)
    close(norm.backward(lay_out(r["dy"], layout)), r["dx"], 1e-12)
    for name, torch_name in {"gamma": "weight", "beta": "bias"}.items():
        if name in norm.grads:
            close(norm.grads[name], r[f"grad.{torch_name}"], 1e-12)
