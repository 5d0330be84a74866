"""Layers with a forward and a backward pass: Dense, the nonlinearities, Dropout and Residual.

Every layer has the same form. ``forward(x)`` computes y and keeps what the backward pass needs;
``backward(dy)`` takes dL/dy, writes dL/dparameter into ``grads`` and returns dL/dx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np

from bnlib.views import (
    as_array,
    check_array,
    check_dtype,
    check_gradient,
    check_has,
    check_int,
    check_real,
    ones,
)


class Stateful:
    """Base of layers and networks: arrays that go out and come in by name."""

    _owner = "the network"  # in an error

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, with the names and shapes of PyTorch."""
        return {name: v.copy() for name, v in self.state().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Load what `state_dict` returned, or PyTorch's as arrays; checked before any change.

        Raises KeyError for wrong names, ValueError for a wrong shape or numbers that do not fit,
        TypeError for what are not real numbers.
        """
        owner, targets = self._owner, self.state()
        if not isinstance(state, dict):
            came = type(state).__name__
            raise TypeError(f"{owner} expected a state dict, name -> array, got {came}")
        missing = sorted(targets.keys() - state.keys())
        extra = sorted(map(str, state.keys() - targets.keys()))
        if missing or extra:
            problem = f"{missing} missing" if missing else f"and does not know {extra}"
            raise KeyError(
                f"{owner} expected {sorted(targets)} in the state dict, {problem}: "
                "was it saved from another architecture?"
            )
        checked = {name: check_value(owner, name, v, state[name]) for name, v in targets.items()}
        for name, value in checked.items():
            targets[name][...] = value


class Layer(Stateful):
    """Base of all layers: parameters, gradients and buffers in dicts, and a training flag.

    ``params`` and ``grads`` map a name to an array and ``buffers`` holds state that is not
    trained. Parameters and gradients are written in place, never replaced, because `Sequential`
    lets all of them share one flat array. ``forward`` replaces buffers and never writes into them,
    so that after an error the old ones can be put back.
    """

    settings: tuple[str, ...] = ("training",)  # what `remember` puts back, besides buffers

    def __init__(self):
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.training = True

    def add_param(self, name: str, value: np.ndarray) -> None:
        """Register a trained array and a gradient of zeros beside it."""
        self.params[name] = value
        self.grads[name] = np.zeros_like(value)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y, computed from x."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dL/dx, computed from dL/dy; fills ``grads``."""
        raise NotImplementedError

    def backward_params(self, dy: np.ndarray) -> None:
        """Like ``backward``, but only ``grads``: enough for the first layer of a network."""
        self.backward(dy)

    def train(self) -> Layer:
        """Training mode: BatchNorm uses the batch, Dropout drops. Returns the layer."""
        self.training = True
        return self

    def eval(self) -> Layer:
        """Evaluation mode: BatchNorm uses running statistics. Returns the layer."""
        self.training = False
        return self

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """All layers in this one that hold arrays, after the start of their arrays' names."""
        yield prefix, self

    def remember(self) -> Callable[[], None]:
        """A function that puts buffers, mode and other settings back as they are now."""
        buffers = {name: b.copy() for name, b in self.buffers.items()}
        settings = {name: getattr(self, name) for name in self.settings}

        def back():
            for name, buffer in self.buffers.items():
                buffer[...] = buffers[name]
            for name, value in settings.items():
                setattr(self, name, value)

        return back

    _owner = property(lambda self: str(self))

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and buffers, live, under the names and in the shapes of PyTorch."""
        return self.params | self.buffers

    def _saved(self):
        """The cache of the last forward pass, or an error that says that there was none."""
        cache = getattr(self, "_cache", None)
        if cache is None:
            raise RuntimeError(
                f"{self}.backward expected a batch from forward, got none: call forward first, "
                "once for each backward"
            )
        return cache

    def __repr__(self):
        return f"{type(self).__name__}()"


def check_layers(owner: str, layers: Iterable[Layer]) -> list[Layer]:
    """The layers as a list; an error for none, for what is no layer, or for one that is twice."""
    check_has(f"{owner} expected a list of layers", layers, "__iter__")
    layers = list(layers)
    if not layers:
        raise ValueError(f"{owner} expected at least one layer, got none")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{owner} expected layers, such as ReLU(), got a {type(layer).__name__} "
                f"at index {i}"
            )
    seen = []
    for name, leaf in (pair for i, layer in enumerate(layers) for pair in layer.leaves(f"{i}.")):
        if any(leaf is other for other in seen):
            raise ValueError(
                f"{owner} expected different layers, got the same {leaf} twice, at index "
                f"{name[:-1]} the second time: a layer keeps one batch for its backward pass, so "
                "its gradients would be wrong. Make two layers"
            )
        seen.append(leaf)
    return layers


def check_value(owner: str, name: str, target: np.ndarray, value: np.ndarray) -> np.ndarray:
    """``value`` with the dtype of ``target``; an error unless its shape and its numbers fit."""
    value = as_array(f"{name} of {owner}", value)
    if value.shape != target.shape:
        raise ValueError(f"{owner} expected {name} of shape {target.shape}, got {value.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = value.astype(target.dtype)
    whole = target.dtype.kind != "i" or (fitted == value).all()
    if not (whole and np.isfinite(value).all() and np.isfinite(fitted).all()):
        raise ValueError(
            f"{owner} expected finite numbers that {target.dtype} can hold in {name}, got NaN, "
            f"infinity or a number that it cannot: was the network saved after it had diverged?"
        )
    if name.endswith(("running_var", "num_batches_tracked")) and (fitted < 0).any():
        raise ValueError(f"{owner} expected {name} >= 0, got {fitted.min():.3g}")
    return fitted


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """The Generator for a seed, or the given one; raises TypeError for anything else."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise TypeError(
            f"expected a seed, a whole number >= 0, or a numpy Generator, got {seed!r:.80}"
        ) from None


class Linear(Layer):
    """Base of Dense and Conv2d: ``weight`` starts as N(0, std^2), and ``bias``, if any, as 0."""

    def __init__(
        self,
        shape: tuple[int, ...],  # of the weight
        fan_in: int,
        bias: int,  # the number of biases
        std: float | None,
        rng: int | np.random.Generator,
        dtype: type,
    ):
        super().__init__()
        name, std = type(self).__name__, fan_in**-0.5 if std is None else std
        dtype = check_dtype(name, dtype)
        check_real(f"{name} expected a finite std >= 0", std)
        with np.errstate(over="ignore"):
            weight = (std * generator(rng).standard_normal(shape)).astype(dtype)
        if not np.isfinite(weight).all():
            raise ValueError(f"{name} expected a std whose weights {dtype} can hold, got {std!r}")
        self.add_param("weight", weight)
        if bias:
            self.add_param("bias", np.zeros(bias, dtype))

    @property
    def weight(self) -> np.ndarray:
        """W: (in_features, out_features), or (out_channels, in_channels, kh, kw)."""
        return self.params["weight"]

    @property
    def bias(self) -> np.ndarray | None:
        """b (out_features,) or (out_channels,), or None."""
        return self.params.get("bias")

    def _check_dtype(self, x):
        if x.dtype != self.weight.dtype:
            raise TypeError(
                f"{self} holds {self.weight.dtype} weights, got x of dtype {x.dtype}: build the "
                "network with the dtype of the data, or convert the data with x.astype"
            )


class Dense(Linear):
    """A fully connected layer.

        y = x @ W + b,    x (N, in_features), W (in_features, out_features), b (out_features,)

    ``state_dict`` exports W transposed, as PyTorch's ``nn.Linear.weight``. Use ``bias=False``
    before a BatchNorm, which subtracts any constant again.

    Weights start as N(0, std^2); ``std`` defaults to 1 / sqrt(in_features). Biases start at 0.
    ``rng`` is a seed or a numpy Generator. Raises ValueError for a wrong shape and TypeError for
    a dtype other than the layer's. NaN in x gives NaN in y: the loss shows it.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        std: float | None = None,
        rng: int | np.random.Generator = 0,
        dtype: type = np.float64,
    ):
        self.in_features = check_int("Dense expected in_features", in_features)
        self.out_features = check_int("Dense expected out_features", out_features)
        shape = in_features, out_features
        super().__init__(shape, in_features, bool(bias) * out_features, std, rng, dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._check(x)
        self._cache = x
        y = x @ self.weight
        if "bias" in self.params:
            y += self.bias
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.backward_params(dy)
        return np.asarray(dy, self.weight.dtype) @ self.weight.T

    def backward_params(self, dy: np.ndarray) -> None:
        x = self._saved()
        dy = check_gradient(dy, (len(x), self.out_features), x.dtype)
        np.matmul(x.T, dy, out=self.grads["weight"])
        if "bias" in self.params:
            np.matmul(ones(len(dy), dy.dtype), dy, out=self.grads["bias"])  # the column sums

    def state(self) -> dict[str, np.ndarray]:
        return {name: v.T for name, v in self.params.items()}  # views: writes reach W

    def _check(self, x):
        check_array(x)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            hint = "the batch is the first axis"
            if x.shape[:1] == (self.in_features,):
                hint = "did you mean x.T?"
            elif x.ndim > 2:
                hint = "images need x.reshape(len(x), -1) first"
            raise ValueError(
                f"{self} expected x of shape (N, {self.in_features}), got {x.shape}: {hint}"
            )
        self._check_dtype(x)

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

    def forward(self, x: np.ndarray) -> np.ndarray:
        check_array(x)
        self._cache = y = self._function(x)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self._saved()
        return self._gradient(check_gradient(dy, y.shape, y.dtype), y)

    def saturated(self, x: np.ndarray) -> np.ndarray:
        """Boolean array shaped like x: True where the derivative is below 5 % of its maximum."""
        return np.abs(x) > self.saturation_limit


class ReLU(Activation):
    """y = max(x, 0). The derivative is 1 for x > 0 and 0 elsewhere, at x = 0 too."""

    name = "relu"

    def _function(self, x):
        # Against an array of zeros, and in place: up to twice as fast as np.maximum(x, 0).
        y = np.empty_like(x)
        y.fill(0)
        np.maximum(x, y, out=y)
        return y

    def _gradient(self, dy, y):
        return dy * (y > 0)

    def saturated(self, x: np.ndarray) -> np.ndarray:
        return x <= 0


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, which never overflows."""

    name = "sigmoid"
    saturation_limit = 4.36  # sigmoid'(4.36) = 0.05 * sigmoid'(0)

    def _function(self, x):
        y = x * x.dtype.type(0.5)
        np.tanh(y, out=y)
        y += 1
        y *= 0.5
        return y

    def _gradient(self, dy, y):
        dx = 1 - y
        dx *= y
        dx *= dy
        return dx


class Tanh(Activation):
    """y = tanh(x)."""

    name = "tanh"
    saturation_limit = 2.18  # tanh'(2.18) = 0.05 * tanh'(0)

    def _function(self, x):
        return np.tanh(x)

    def _gradient(self, dy, y):
        dx = y * y
        np.subtract(1, dx, out=dx)
        dx *= dy
        return dx


ACTIVATIONS = {layer.name: layer for layer in (ReLU, Sigmoid, Tanh)}


class Dropout(Layer):
    """Sets each input to 0 with probability p in training mode; the others grow by 1 / (1 - p).

    So the expected value is x, and evaluation mode passes x on as it is. Every forward pass draws
    a new mask from ``rng``, a seed or a numpy Generator; give two layers of a network different
    seeds, or one Generator, or they drop the same units. A copy of the layer draws the same masks.

    Source: Srivastava et al. 2014 (JMLR 15, pages 1929 to 1958), section 4, which scales at test
    time instead; this is called inverted dropout.
    """

    settings = ("training", "rng_state")

    def __init__(self, p: float = 0.5, rng: int | np.random.Generator = 0):
        super().__init__()
        if not check_real("Dropout expected p in [0, 1), a share", p, most=1) < 1:
            raise ValueError(f"Dropout expected p in [0, 1), got {p}: nothing would be left")
        self.p, self.rng = p, generator(rng)

    rng_state = property(
        lambda self: self.rng.bit_generator.state,
        lambda self, value: setattr(self.rng.bit_generator, "state", value),
        doc="Where the random numbers stand.",
    )

    def forward(self, x: np.ndarray) -> np.ndarray:
        check_array(x)
        scale = None
        if self.training:
            kept = self.rng.random(x.shape, np.float32) >= self.p
            scale = kept * x.dtype.type(1 / (1 - self.p))
        self._cache = scale, x.shape, x.dtype
        return x if scale is None else x * scale

    def backward(self, dy: np.ndarray) -> np.ndarray:
        scale, shape, dtype = self._saved()
        dy = check_gradient(dy, shape, dtype)
        return dy if scale is None else dy * scale

    def __repr__(self):
        return f"Dropout({self.p:g})"


class Stack(Stateful):
    """Layers one after the other, with the arrays and modes of all: `Sequential` and `Residual`."""

    within = ""  # what the names of arrays say before a layer's index, as in PyTorch

    def __init__(self, layers: Iterable[Layer]):
        self.layers = check_layers(type(self).__name__, layers)
        self.training, self._leaves = True, [leaf for _, leaf in self.leaves()]

    # All arrays, "index.name" -> array, live. forward replaces the buffers, the running statistics.
    params = property(lambda self: self._named(lambda leaf: leaf.params))
    grads = property(lambda self: self._named(lambda leaf: leaf.grads))
    buffers = property(lambda self: self._named(lambda leaf: leaf.buffers))

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """All layers that hold arrays, after the start of their arrays' names.

        Those in the branch of a `Residual` come in its place: ("0.", a), ("1.branch.0.", b), ...
        """
        for i, layer in enumerate(self.layers):
            yield from layer.leaves(f"{prefix}{self.within}{i}.")

    def trace(self, x: np.ndarray, prefix: str = "") -> Iterator[tuple]:
        """Send x through: (name, layer, what enters it, what leaves it) for each layer.

        Those in the branch of a `Residual` come before it.
        """
        for i, layer in enumerate(self.layers):
            name, y = f"{prefix}{self.within}{i}", x
            if isinstance(layer, Residual):
                for *step, y in layer.trace(x, f"{name}."):
                    yield *step, y
                y = layer.add(x, y)
            else:
                y = layer.forward(x)
            yield name, layer, x, y
            x = y

    @contextmanager
    def statistics_kept(self) -> Iterator[None]:
        """After an error in the block all running statistics are as before it."""
        before = [leaf.buffers for leaf in self._leaves]
        try:
            yield
        except BaseException:
            for leaf, buffers in zip(self._leaves, before):
                leaf.buffers = buffers
            raise

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Apply all layers to x (N, ...). After an error the running statistics are as before."""
        with self.statistics_kept():
            for layer in self.layers:
                x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray, input_gradient: bool = True) -> np.ndarray | None:
        """Backpropagate dL/dy; fills the gradients and returns dL/dx.

        ``input_gradient=False`` saves the largest matrix product of most networks, the gradient
        with respect to the data, which training never uses; it then returns None. After an error
        all gradients are 0, not half new and half old.
        """
        try:
            for layer in reversed(self.layers[1:]):
                dy = layer.backward(dy)
            if input_gradient:
                return self.layers[0].backward(dy)
            self.layers[0].backward_params(dy)
        except BaseException:
            for grad in self.grads.values():
                grad[...] = 0
            raise

    def train(self) -> Self:
        """Put every layer into training mode. Returns the network (or layer)."""
        self.training = True
        for layer in self.layers:
            layer.train()
        return self

    def eval(self) -> Self:
        """Put every layer into evaluation mode. Returns the network (or layer)."""
        self.training = False
        for layer in self.layers:
            layer.eval()
        return self

    def remember(self) -> Callable[[], None]:
        """As `Layer.remember`, for all layers."""
        training, backs = self.training, [layer.remember() for layer in self.layers]

        def back():
            self.training = training
            for back in backs:
                back()

        return back

    def state(self) -> dict[str, np.ndarray]:
        """As `Layer.state`, for all layers."""
        return self._named(lambda leaf: leaf.state())

    def _named(self, arrays):
        """What ``arrays(leaf)`` gives for all leaves, "index.name" -> array."""
        return {start + n: v for start, leaf in self.leaves() for n, v in arrays(leaf).items()}


class Residual(Stack, Layer):
    """y = x + branch(x): a branch of layers, and a path around it that leaves x alone.

    ``branch`` is a list of layers, or a `Sequential`, whose layers are taken, that keeps the shape.
    Its arrays have PyTorch's names for a module with such a ``branch``: "branch.0.weight", in a
    `Sequential` "2.branch.0.weight". Raises ValueError for a branch that changes the shape.
    Source: He et al. 2016 (arXiv:1512.03385), equation 1.
    """

    within = "branch."

    def __init__(self, branch: Iterable[Layer]):
        super().__init__(getattr(branch, "layers", branch))
        self.branch = self.layers

    def forward(self, x: np.ndarray) -> np.ndarray:
        with self.statistics_kept():
            return self.add(x, super().forward(x))

    def add(self, x: np.ndarray, branch: np.ndarray) -> np.ndarray:
        """x + branch, for what the branch has made of x."""
        if x.shape != branch.shape:
            raise ValueError(
                f"{self} expected a branch that keeps the shape of x {x.shape}, got {branch.shape}"
                ": both are added. Change the shape before or after it"
            )
        self._cache = x.shape, x.dtype
        return x + branch

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dy = check_gradient(dy, *self._saved())
        return dy + super().backward(dy)

    def __repr__(self):
        return f"Residual({', '.join(map(str, self.branch))})"
