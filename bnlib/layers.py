"""Layers with a forward and a backward pass: Dense and the nonlinearities.

Every layer has the same form. ``forward(x)`` computes y and keeps what the backward pass needs;
``backward(dy)`` takes dL/dy, writes dL/dparameter into ``grads`` and returns dL/dx.
"""

import numpy as np

from bnlib.functional import ones


class Layer:
    """Base of all layers: parameters, gradients and buffers in dicts, and a training flag.

    ``params`` and ``grads`` map a name to an array and ``buffers`` holds state that is not
    trained. Arrays are written in place, never replaced, because `Sequential` lets all of them
    share one flat buffer.
    """

    def __init__(self):
        self.params, self.grads, self.buffers = {}, {}, {}
        self.training = True

    def add_param(self, name, value):
        """Register a trained array and a gradient of zeros beside it."""
        self.params[name] = value
        self.grads[name] = np.zeros_like(value)

    def forward(self, x):
        raise NotImplementedError

    def backward(self, dy):
        raise NotImplementedError

    def backward_params(self, dy):
        """Like ``backward``, but only ``grads``: enough for the first layer of a network."""
        self.backward(dy)

    def train(self):
        """Training mode: BatchNorm normalises with the batch. Returns the layer."""
        self.training = True
        return self

    def eval(self):
        """Evaluation mode: BatchNorm normalises with running statistics. Returns the layer."""
        self.training = False
        return self

    def state_dict(self):
        """Parameters and buffers as copies, under the names and in the shapes of PyTorch."""
        return {name: v.copy() for name, v in (self.params | self.buffers).items()}

    def load_state_dict(self, state):
        """Copy ``state`` (as from state_dict, or PyTorch's as arrays) in; all or nothing."""
        load_arrays(self, self.params | self.buffers, state)

    def _saved(self, what):
        """The cache of the last forward pass, or an error that says that there was none."""
        cache = getattr(self, "_cache", None)
        if cache is None:
            raise RuntimeError(
                f"{self}.backward expected a {what} from forward, got none: call forward first, "
                "once for each backward"
            )
        return cache


def load_arrays(owner, targets, state):
    """Copy the arrays of ``state`` into ``targets`` after checking all names and shapes."""
    if missing := sorted(targets.keys() - state.keys()):
        raise KeyError(f"{owner} expected {sorted(targets)} in the state dict, {missing} missing")
    if extra := sorted(state.keys() - targets.keys()):
        raise KeyError(
            f"{owner} does not know {extra}; expected {sorted(targets)}: "
            "was it saved from another architecture?"
        )
    arrays = {name: np.asarray(state[name]) for name in targets}
    for name, target in targets.items():
        if arrays[name].shape != target.shape:
            raise ValueError(
                f"{owner} expected {name} of shape {target.shape}, got {arrays[name].shape}"
            )
    for name, target in targets.items():
        target[...] = arrays[name]


class Dense(Layer):
    """A fully connected layer.

        y = x @ W + b,    x (N, in_features), W (in_features, out_features), b (out_features,)

    ``state_dict`` exports W transposed, as PyTorch's ``nn.Linear.weight``. Use ``bias=False``
    before a BatchNorm, which subtracts any constant again.

    Weights start as N(0, std^2); ``std`` defaults to 1 / sqrt(in_features). Biases start at 0.
    ``rng`` is a seed or a numpy Generator. Raises ValueError for a wrong shape and TypeError for
    a dtype other than the layer's.
    """

    def __init__(self, in_features, out_features, bias=True, *, std=None, rng=0, dtype=np.float64):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        std = in_features**-0.5 if std is None else std
        rng = np.random.default_rng(rng)
        weight = std * rng.standard_normal((in_features, out_features))
        self.add_param("weight", weight.astype(dtype))
        if bias:
            self.add_param("bias", np.zeros(out_features, dtype))

    @property
    def weight(self):
        return self.params["weight"]

    @property
    def bias(self):
        return self.params.get("bias")

    def forward(self, x):
        self._check(x)
        self._cache = x
        y = x @ self.weight
        if "bias" in self.params:
            y += self.bias
        return y

    def backward(self, dy):
        self.backward_params(dy)
        return dy @ self.weight.T

    def backward_params(self, dy):
        x = self._saved("batch")
        np.matmul(x.T, dy, out=self.grads["weight"])
        if "bias" in self.params:
            np.matmul(ones(len(dy), dy.dtype), dy, out=self.grads["bias"])  # the column sums

    def state_dict(self):
        return super().state_dict() | {"weight": self.weight.T.copy()}

    def load_state_dict(self, state):
        targets = {name: v.T for name, v in self.params.items()}  # views: writes reach W
        load_arrays(self, targets, state)

    def _check(self, x):
        if np.ndim(x) != 2 or x.shape[1] != self.in_features:
            hint = (
                "did you mean x.T?"
                if np.shape(x)[:1] == (self.in_features,)
                else (
                    "images need x.reshape(len(x), -1) first"
                    if np.ndim(x) > 2
                    else "the batch is the first axis"
                )
            )
            raise ValueError(
                f"{self} expected x of shape (N, {self.in_features}), got {np.shape(x)}: {hint}"
            )
        if x.dtype != self.weight.dtype:
            raise TypeError(
                f"{self} holds {self.weight.dtype} weights, got x of dtype {x.dtype}: build the "
                "network with the dtype of the data, or convert the data with x.astype"
            )

    def __repr__(self):
        bias = "" if "bias" in self.params else ", bias=False"
        return f"Dense({self.in_features}, {self.out_features}{bias})"


class Activation(Layer):
    """Base of the nonlinearities: y = f(x), element by element.

    ``saturated(x)`` says where the derivative is below 5 % of its largest value: where the
    nonlinearity passes almost no gradient. ``saturation_limit`` is the |x| at which that happens.
    """

    name = "activation"
    saturation_limit = np.inf

    def saturated(self, x):
        """Boolean array shaped like x: True where the derivative is below 5 % of its maximum."""
        return np.abs(x) > self.saturation_limit

    def __repr__(self):
        return f"{type(self).__name__}()"


class ReLU(Activation):
    """y = max(x, 0). The derivative is 1 for x > 0 and 0 elsewhere, at x = 0 too."""

    name = "relu"

    def forward(self, x):
        # Against an array of zeros, and in place: up to twice as fast as np.maximum(x, 0).
        y = np.empty_like(x)
        y.fill(0)
        np.maximum(x, y, out=y)
        self._cache = y > 0  # a quarter of the memory that y takes in float32
        return y

    def backward(self, dy):
        return dy * self._saved("batch")

    def saturated(self, x):
        return x <= 0


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, which never overflows."""

    name = "sigmoid"
    saturation_limit = 4.36  # sigmoid'(4.36) = 0.05 * sigmoid'(0)

    def forward(self, x):
        y = x * x.dtype.type(0.5)
        np.tanh(y, out=y)
        y += 1
        y *= 0.5
        self._cache = y
        return y

    def backward(self, dy):
        y = self._saved("output")
        dx = 1 - y
        dx *= y
        dx *= dy
        return dx


class Tanh(Activation):
    """y = tanh(x)."""

    name = "tanh"
    saturation_limit = 2.18  # tanh'(2.18) = 0.05 * tanh'(0)

    def forward(self, x):
        self._cache = y = np.tanh(x)
        return y

    def backward(self, dy):
        y = self._saved("output")
        dx = y * y
        np.subtract(1, dx, out=dx)
        dx *= dy
        return dx


ACTIVATIONS = {layer.name: layer for layer in (ReLU, Sigmoid, Tanh)}
