"""Networks: layers in a row, and the networks of the notebooks."""

import math
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from bnlib.convolution import Conv2d, Flatten, MaxPool2d
from bnlib.layers import ACTIVATIONS, Activation, Dense
from bnlib.norms import BatchNorm


class Sequential:
    """Layers one after the other.

    All parameters are views into one flat array, ``flat_params``, and all gradients into
    ``flat_grads``, so an optimizer updates everything in one operation. Names in ``params``,
    ``grads`` and ``state_dict`` are "index.name" as in PyTorch's ``nn.Sequential``.

        net = Sequential([Dense(784, 100, bias=False), BatchNorm(100), ReLU(), Dense(100, 10)])
        logits = net(x)             # forward
        dx = net.backward(dlogits)  # fills net.grads

    Raises TypeError when the layers differ in dtype.
    """

    def __init__(self, layers):
        self.layers = list(layers)
        self.training = True
        arrays = [p for layer in self.layers for p in layer.params.values()]
        dtypes = {a.dtype for a in arrays}
        if len(dtypes) > 1:
            raise TypeError(f"expected layers of one dtype, got {sorted(map(str, dtypes))}")
        self.dtype = dtypes.pop() if dtypes else np.dtype(np.float64)
        size = sum(a.size for a in arrays)
        self.flat_params, self.flat_grads = np.empty(size, self.dtype), np.zeros(size, self.dtype)
        start = 0
        for layer in self.layers:
            for name, old in layer.params.items():
                part = slice(start, start := start + old.size)
                self.flat_params[part] = old.ravel()
                layer.params[name] = self.flat_params[part].reshape(old.shape)
                layer.grads[name] = self.flat_grads[part].reshape(old.shape)

    @property
    def params(self):
        """All parameters, "index.name" -> array (live, not a copy)."""
        return self._named("params")

    @property
    def grads(self):
        """All gradients of the last backward pass, under the names of ``params``."""
        return self._named("grads")

    @property
    def buffers(self):
        """All running statistics, "index.name" -> array (live, not a copy)."""
        return self._named("buffers")

    def forward(self, x):
        """Apply all layers to x (N, ...)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    __call__ = forward

    def backward(self, dy, input_gradient=True):
        """Backpropagate dL/dy; fills the gradients and returns dL/dx.

        ``input_gradient=False`` saves the largest matrix product of most networks, the gradient
        with respect to the data, which training never uses; it then returns None.
        """
        for layer in reversed(self.layers[1:]):
            dy = layer.backward(dy)
        if input_gradient:
            return self.layers[0].backward(dy)
        self.layers[0].backward_params(dy)

    def nonlinearity_inputs(self, x, before_norm=False):
        """What reaches each nonlinearity for the batch x, in training mode.

        Returns a list with one array per Activation; with ``before_norm`` one pair (before, z):
        z is that array, and ``before`` is what enters the norm that stands in front of the
        nonlinearity, or z itself where none does. BatchNorm uses the statistics of x, and its
        running statistics are left as they were, so looking does not change the network.
        """
        inputs, before = [], x
        with self.as_it_was():
            self.train()
            for layer in self.layers:
                if isinstance(layer, Activation):
                    inputs.append((before, x) if before_norm else x)
                entering, x = x, layer.forward(x)
                before = entering if isinstance(layer, BatchNorm) else x
        return inputs

    @contextmanager
    def as_it_was(self):
        """Buffers and modes of all layers come back at the end of the block, whatever happens.

        with net.as_it_was():
            net.train()(x)  # running statistics move here, and are restored after it
        """
        buffers = {name: b.copy() for name, b in self.buffers.items()}
        modes = [layer.training for layer in self.layers]
        training = self.training
        try:
            yield self
        finally:
            for name, buffer in self.buffers.items():
                buffer[...] = buffers[name]
            self.training = training
            for layer, mode in zip(self.layers, modes):
                layer.training = mode

    @property
    def nonlinearities(self):
        """The Activation layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, Activation)]

    def train(self):
        """Put every layer into training mode. Returns the network."""
        self.training = True
        for layer in self.layers:
            layer.train()
        return self

    def eval(self):
        """Put every layer into evaluation mode. Returns the network."""
        self.training = False
        for layer in self.layers:
            layer.eval()
        return self

    def state_dict(self):
        """Copies of all parameters and buffers, with the names and shapes of PyTorch."""
        return {
            f"{i}.{name}": v
            for i, layer in enumerate(self.layers)
            for name, v in layer.state_dict().items()
        }

    def load_state_dict(self, state):
        """Load what `state_dict` returned, or PyTorch's as arrays; checked before any change."""
        before, known = self.state_dict(), {f"{i}" for i in range(len(self.layers))}
        if extra := sorted(k for k in state if k.split(".")[0] not in known):
            raise KeyError(
                f"the network has {len(self.layers)} layers, the state dict also names {extra}: "
                "was it saved from another architecture?"
            )
        try:
            self._load(state)
        except (KeyError, ValueError):
            self._load(before)
            raise

    def _load(self, state):
        for i, layer in enumerate(self.layers):
            prefix = f"{i}."
            layer.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )

    def _named(self, kind):
        return {
            f"{i}.{name}": array
            for i, layer in enumerate(self.layers)
            for name, array in getattr(layer, kind).items()
        }

    def __repr__(self):
        lines = [f"Sequential, {self.flat_params.size:,} parameters, {self.dtype}"]
        width = max([32, *(len(str(layer)) for layer in self.layers)])
        for i, layer in enumerate(self.layers):
            count = sum(p.size for p in layer.params.values())
            lines.append(f"  {i:2d}  {layer!s:<{width}}" + (f"{count:>9,}" if count else ""))
        return "\n".join(line.rstrip() for line in lines)


def mlp(
    sizes,
    norm=None,
    activation="relu",
    init_scale=None,
    seed=0,
    dtype=np.float64,
    norm_position="before",
):
    """A fully connected network: Dense -> [BatchNorm] -> activation, then a last Dense.

    The same seed gives the same weights with and without normalization, so that two networks
    differ in nothing else.

    Parameters
    ----------
    sizes : for example [784, 100, 100, 100, 10]
    norm : None or "batch"
    activation : "relu", "sigmoid" or "tanh"
    init_scale : weights start as N(0, init_scale^2 / fan_in). Default: sqrt(2) for relu
        (He et al. 2015), 1 otherwise
    seed : an int or a numpy Generator
    norm_position : "before" the activation, as in the paper, or "after" it

    A Dense that feeds a BatchNorm has no bias (section 3.2 of Ioffe & Szegedy 2015).
    Returns a `Sequential`. Raises ValueError for a name it does not know.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"mlp expected at least two positive sizes, got {list(sizes)}")
    _choose("norm", norm, (None, "batch"))
    _choose("activation", activation, tuple(ACTIVATIONS))
    _choose("norm_position", norm_position, ("before", "after"))
    scale = default_init_scale(activation) if init_scale is None else init_scale
    rng = np.random.default_rng(seed)
    layers = []
    for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
        last = i == len(sizes) - 2
        before = norm == "batch" and norm_position == "before" and not last
        std = scale * fan_in**-0.5
        layers.append(Dense(fan_in, fan_out, bias=not before, std=std, rng=rng, dtype=dtype))
        if last:
            break
        parts = [ACTIVATIONS[activation]()]
        if norm == "batch":
            parts.insert(0 if before else 1, BatchNorm(fan_out, dtype=dtype))
        layers += parts
    return Sequential(layers)


def cnn(
    channels=(1, 16, 32),
    norm=None,
    activation="relu",
    image_size=28,
    num_classes=10,
    init_scale=None,
    seed=0,
    dtype=np.float64,
):
    """A small convolutional network: Conv2d -> [BatchNorm] -> activation -> MaxPool2d, and a Dense.

    One such block for each entry of ``channels`` after the first: a 3x3 convolution that keeps the
    image's size (padding 1), then 2x2 pooling that halves it. ``Flatten`` and ``Dense`` turn the
    last feature maps into ``num_classes`` logits. The same seed gives the same weights with and
    without normalization. A Conv2d that feeds a BatchNorm has no bias.

    Parameters
    ----------
    channels : of the image and of each block's feature maps
    norm : None or "batch"
    activation : "relu", "sigmoid" or "tanh"
    image_size : side of the square images
    init_scale : weights start as N(0, init_scale^2 / fan_in), fan_in = C * 9 for a convolution;
        default as in `mlp`
    seed : an int or a numpy Generator

    Returns a `Sequential` for x (N, channels[0], image_size, image_size). Raises ValueError for a
    name it does not know or an image that is too small for so many blocks.
    """
    blocks = len(channels) - 1
    if blocks < 1 or min(channels) < 1:
        raise ValueError(f"cnn expected at least two positive channels, got {tuple(channels)}")
    if image_size < 2**blocks:
        raise ValueError(
            f"cnn expected image_size >= {2**blocks} for {blocks} blocks, each of which halves the "
            f"image, got {image_size}"
        )
    _choose("norm", norm, (None, "batch"))
    _choose("activation", activation, tuple(ACTIVATIONS))
    scale = default_init_scale(activation) if init_scale is None else init_scale
    rng = np.random.default_rng(seed)
    layers = []
    for c_in, c_out in pairwise(channels):
        std = scale * (c_in * 9) ** -0.5
        layers.append(
            Conv2d(c_in, c_out, 3, padding=1, bias=norm is None, std=std, rng=rng, dtype=dtype)
        )
        if norm == "batch":
            layers.append(BatchNorm(c_out, dtype=dtype))
        layers += [ACTIVATIONS[activation](), MaxPool2d(2)]
    features = channels[-1] * (image_size // 2**blocks) ** 2
    std = scale * features**-0.5
    layers += [Flatten(), Dense(features, num_classes, std=std, rng=rng, dtype=dtype)]
    return Sequential(layers)


def default_init_scale(activation):
    """sqrt(2) for "relu", which halves the mean square of the signal (He et al. 2015), else 1."""
    return math.sqrt(2) if activation == "relu" else 1.0


def _choose(name, value, known):
    if value not in known:
        raise ValueError(f"{name} expected one of {known}, got {value!r}")
