"""bnlib against results of PyTorch, frozen in reference/*.npz (no PyTorch needed).

tests/with_torch compares with an installed PyTorch over hundreds of random shapes.
"""

from pathlib import Path

import numpy as np
import pytest
from cases import LAYOUTS, close, lay_out

import bnlib
from bnlib import SGD, BatchNorm, Conv2d, MaxPool2d, cnn, mlp, softmax_cross_entropy


def load(name):
    with np.load(Path(__file__).parent / "reference" / name) as archive:
        return {name: archive[name] for name in archive.files}


def part(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


REFERENCE, RELATIVES, CNN = load("reference.npz"), load("relatives.npz"), load("cnn.npz")
CASES = sorted({name.split("/")[0] for name in REFERENCE} - {"network", "torch_version"})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_batch_norm_equals_pytorch(case, layout):
    r = part(REFERENCE, f"{case}/")
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


@pytest.mark.parametrize("which", ["mlp", "cnn"])
def test_weights_of_pytorch_load_and_train_to_the_same_network(which):
    """nn.Sequential's state dict goes in, 20 steps are trained, the same state dict comes out."""
    if which == "mlp":
        r, net = part(REFERENCE, "network/"), mlp([8, 6, 5, 4], "batch", "sigmoid")
        optimizer = SGD(net, 0.3, 0.9, 0.01)
    else:
        r, net = part(CNN, "cnn."), cnn((2, 3, 4), "batch", image_size=9, num_classes=5)
        optimizer = SGD(net, 0.1, 0.9, 1e-3)
    net.load_state_dict(part(r, "start."))
    for step, (x, labels) in enumerate(zip(r["x"], r["labels"], strict=True)):
        loss, dlogits = softmax_cross_entropy(net(x), labels)
        dx = net.backward(dlogits)
        optimizer.step()
        assert loss == pytest.approx(r["losses"][step], rel=1e-10)
        if step in (0, 19):
            close(dx, r[f"dx.{step}"], 1e-10)
    end, state = part(r, "end."), net.state_dict()
    assert list(state) == list(end)  # names and order are PyTorch's
    for name, v in state.items():
        assert v.dtype == end[name].dtype
        close(v, end[name], 1e-9)
    close(net.eval()(r["x"][0]), r["evaluated"], 1e-9)
    folded = bnlib.fold_batchnorm(net)
    assert not any(isinstance(layer, BatchNorm) for layer in folded.layers)
    close(folded(r["x"][0]), r["evaluated"], 1e-9)


@pytest.mark.parametrize("i", range(7))
def test_conv_equals_pytorch(i):
    r = part(CNN, f"conv{i}.")
    o, c = r["weight"].shape[:2]
    layer = Conv2d(c, o, *r["settings"].reshape(3, 2), bias="bias" in r)
    layer.load_state_dict({k: r[k] for k in ("weight", "bias") if k in r})
    close(layer.forward(r["x"]), r["y"], 1e-10)
    close(layer.backward(r["dy"]), r["dx"], 1e-10)
    for name, gradient in layer.grads.items():
        close(gradient, r[f"d{name}"], 1e-10)


@pytest.mark.parametrize("i", range(5))
def test_pooling_equals_pytorch(i):
    r = part(CNN, f"pool{i}.")
    layer = MaxPool2d(*r["settings"].reshape(2, 2))
    assert np.array_equal(layer.forward(r["x"]), r["y"])
    close(layer.backward(r["dy"]), r["dx"], 1e-13)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "case", sorted({name.rpartition("/")[0] for name in RELATIVES} - {""}), ids=str
)
def test_the_relatives_equal_pytorch(case, layout):
    r = part(RELATIVES, f"{case}/")
    arguments, eps = r["arguments"].tolist(), None if np.isnan(r["eps"]) else float(r["eps"])
    kind = case.split("/")[0]
    if kind in ("LayerNorm", "RMSNorm"):
        arguments = [tuple(arguments)]
    settings = {"affine": True} if kind == "InstanceNorm" else {}
    norm = getattr(bnlib, kind)(*arguments, eps=eps, **settings)
    norm.load_state_dict(part(r, "state."))
    close(norm.forward(lay_out(r["x"], layout)), r["y"], 1e-12)
    close(norm.backward(lay_out(r["dy"], layout)), r["dx"], 1e-12)
    for name, torch_name in {"gamma": "weight", "beta": "bias"}.items():
        if name in norm.grads:
            close(norm.grads[name], r[f"grad.{torch_name}"], 1e-12)
