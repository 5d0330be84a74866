"""Freeze what batch normalization does in PyTorch, Keras 3, Flax and the ONNX reference.

    python tests/reference/make_conventions.py

in an environment with torch, keras (with its JAX backend), flax and onnx writes conventions.npz:
one training batch through a fresh layer with default settings, and an evaluation after it. A
library that is not installed keeps the arrays that the file has of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"
PATH = Path(__file__).parent.parent.parent / "bnlib" / "data" / "conventions.npz"


def batch():
    """Values (N, D), few of them, so that N and N - 1 differ."""
    rng = np.random.default_rng(13)
    x = 2.0 + np.array([0.5, 1.0, 3.0]) * rng.standard_normal((6, 3))
    return x.astype(np.float32)


def pytorch(x):
    import torch

    layer = torch.nn.BatchNorm1d(x.shape[1])
    y = layer(torch.from_numpy(x)).detach().numpy()
    mean, var = layer.running_mean.numpy(), layer.running_var.numpy()
    evaluated = layer.eval()(torch.from_numpy(x)).detach().numpy()
    yield from {"momentum": layer.momentum, "eps": layer.eps, "y": y}.items()
    yield from {"mean": mean, "var": var, "evaluated": evaluated, "axis": 1}.items()
    yield "names", list(layer.state_dict())[:4]
    yield "version", torch.__version__.partition("+")[0]


def keras(x):
    import keras

    layer = keras.layers.BatchNormalization()
    y = np.asarray(layer(x, training=True))
    mean, var = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    evaluated = np.asarray(layer(x, training=False))
    yield from {"momentum": layer.momentum, "eps": layer.epsilon, "y": y}.items()
    yield from {"mean": mean, "var": var, "evaluated": evaluated, "axis": -1}.items()
    yield "names", [v.name for v in layer.weights]
    yield "version", keras.__version__


def flax(x):
    import flax
    import flax.linen as nn
    import jax

    layer = nn.BatchNorm(use_running_average=False)
    state = layer.init(jax.random.key(0), x)
    y, moved = layer.apply(state, x, mutable=["batch_stats"])
    frozen = nn.BatchNorm(use_running_average=True)
    evaluated = frozen.apply({"params": state["params"], **moved}, x)
    mean, var = (np.asarray(moved["batch_stats"][name]) for name in ("mean", "var"))
    yield from {"momentum": layer.momentum, "eps": layer.epsilon, "y": np.asarray(y)}.items()
    yield from {"mean": mean, "var": var, "evaluated": np.asarray(evaluated), "axis": -1}.items()
    yield "names", [*sorted(state["params"], reverse=True), "mean", "var"]
    yield "version", flax.__version__


def onnx(x):
    import onnx
    from onnx.reference import ReferenceEvaluator

    operator = onnx.defs.get_schema("BatchNormalization")
    momentum, eps = (operator.attributes[n].default_value.f for n in ("momentum", "epsilon"))
    c = x.shape[1]
    ones, zeros = np.ones(c, np.float32), np.zeros(c, np.float32)

    def run(mean, var, training):
        inputs = ["X", "scale", "B", "input_mean", "input_var"]
        outputs = ["Y", "running_mean", "running_var"][: 3 if training else 1]
        node = onnx.helper.make_node(
            "BatchNormalization", inputs, outputs, training_mode=int(training)
        )
        evaluator = ReferenceEvaluator(node)
        return evaluator.run(None, dict(zip(inputs, (x, ones, zeros, mean, var))))

    y, mean, var = run(zeros, ones, True)
    evaluated = run(mean, var, False)[0]
    yield from {"momentum": round(momentum, 6), "eps": eps, "y": y, "mean": mean}.items()
    yield from {"var": var, "evaluated": evaluated, "axis": 1}.items()
    yield "names", [p.name for p in operator.inputs[1:]]
    yield "version", onnx.__version__


def main():
    kept = dict(np.load(PATH)) if PATH.exists() else {}
    kept["x"] = batch()
    for library in (pytorch, keras, flax, onnx):
        try:
            found = dict(library(kept["x"]))
        except ImportError as error:
            print(f"{library.__name__}: {error}; its arrays stay as they are")
            continue
        kept |= {f"{library.__name__} {name}": np.asarray(v) for name, v in found.items()}
        print(library.__name__, found["version"], found["momentum"], found["names"])
    np.savez_compressed(PATH, **kept)


if __name__ == "__main__":
    main()
