"""SGD against its definition, one array at a time."""

import numpy as np
import pytest
from cases import close
from hypothesis import given
from hypothesis import strategies as st

from bnlib.network import mlp
from bnlib.optim import SGD


@given(
    lr=st.sampled_from([0.01, 0.5]),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    weight_decay=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_follows_its_definition(lr, momentum, weight_decay):
    net = mlp([3, 4, 2], norm="batch", seed=1)
    optimizer = SGD(net, lr, momentum, weight_decay)
    weights = {name: w.copy() for name, w in net.params.items()}
    velocity = {name: np.zeros_like(w) for name, w in weights.items()}
    rng = np.random.default_rng(0)
    for _ in range(4):
        for name, g in net.grads.items():
            g[...] = rng.standard_normal(g.shape)
            step = g + weight_decay * weights[name]
            velocity[name] = momentum * velocity[name] + step
            weights[name] = weights[name] - lr * velocity[name]
        optimizer.step()
    for name, w in net.params.items():
        close(w, weights[name], 1e-13, scale=10)


def test_leaves_gradients_and_buffers_alone_and_keeps_float32():
    net = mlp([3, 4, 2], norm="batch", dtype=np.float32)
    net.flat_grads[...] = 1
    buffers = {name: b.copy() for name, b in net.buffers.items()}
    SGD(net, 0.1, 0.9, 0.1).step()
    assert (net.flat_grads == 1).all()
    assert all(np.array_equal(b, buffers[name]) for name, b in net.buffers.items())
    assert net.flat_params.dtype == np.float32
    assert all(p.dtype == np.float32 for p in net.params.values())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"lr": 0}, "lr > 0, got 0"),
        ({"lr": float("inf")}, "lr > 0, got inf"),
        ({"momentum": 1.0}, r"momentum in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, "got -0.1"),
        ({"weight_decay": -1}, "weight_decay >= 0, got -1"),
        ({"weight_decay": float("nan")}, "weight_decay >= 0, got nan"),
        ({"lr": "0.1"}, "lr > 0, got '0.1'"),
        ({"momentum": None}, "got None"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SGD(mlp([2, 2]), **{"lr": 0.1} | settings)
