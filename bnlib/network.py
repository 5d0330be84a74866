"""Networks: layers in a row, and the networks of the notebooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnlib.convolution import Conv2d, Flatten, MaxPool2d
from bnlib.layers import ACTIVATIONS, Activation, Dense, Layer, Stack, generator
from bnlib.norms import (
    BatchNorm,
    BatchRenorm,
    GhostNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Normalization,
    RMSNorm,
)
from bnlib.saving import load_arrays, save_arrays
from bnlib.views import check_has, check_int, check_real


class Norm(NamedTuple):
    """A row of the table below: what ``norm="name"`` puts into a network."""

    layers: Callable[[tuple[int, ...], type], list[Layer]]  # of (C,) or (C, H, W), and the dtype
    cancels_bias: bool  # does it subtract a mean of one channel, and with it any bias before it?


def _of_channels(norm):
    return lambda shape, dtype: [norm(shape[0], dtype=dtype)]


def _layer_norm(shape, dtype):
    if len(shape) > 1:
        return [GroupNorm(1, shape[0], dtype=dtype)]  # as in Wu & He 2018
    return [LayerNorm(shape, dtype=dtype)]


def _group_norm(shape, dtype):
    """GroupNorm with as many groups as have 8 units each or 4 channels of images, or one group."""
    channels, least = shape[0], 8 if len(shape) == 1 else 4
    most = max(1, channels // least)
    groups = max(k for k in range(1, most + 1) if channels % k == 0)
    return [GroupNorm(groups, channels, dtype=dtype)]


def _instance_norm(shape, dtype):
    if len(shape) == 1:
        raise ValueError(
            "mlp expected a norm for units, got norm='instance': it normalises each channel of an "
            "image over its positions, and a unit has one value an example. Use 'layer', or a cnn"
        )
    return [InstanceNorm(shape[0], affine=True, dtype=dtype)]


# LN, GN and RMSNorm subtract a mean over several channels, or none: a bias of one of them is still
# there afterwards. BatchRenorm's d sees a bias, but no gradient comes back from it, since d counts
# as a constant: the bias would stay 0.
NORMS: dict[str | None, Norm] = {
    None: Norm(lambda shape, dtype: [], cancels_bias=False),
    "batch": Norm(_of_channels(BatchNorm), cancels_bias=True),
    "layer": Norm(_layer_norm, cancels_bias=False),
    "group": Norm(_group_norm, cancels_bias=False),
    "instance": Norm(_instance_norm, cancels_bias=True),
    # RMSNorm has a gamma for each value of an example.
    "rms": Norm(lambda shape, dtype: [RMSNorm(shape, dtype=dtype)], cancels_bias=False),
    "ghost": Norm(_of_channels(GhostNorm), cancels_bias=True),
    "renorm": Norm(_of_channels(BatchRenorm), cancels_bias=True),
}


class Sequential(Stack):
    """Layers one after the other.

    All parameters are views into one flat array, ``flat_params``, and all gradients into
    ``flat_grads``, so an optimizer updates everything in one operation. Names in ``params``,
    ``grads`` and ``state_dict`` are "index.name" as in PyTorch's ``nn.Sequential``.

        net = Sequential([Dense(784, 100, bias=False), BatchNorm(100), ReLU(), Dense(100, 10)])
        logits = net(x)             # forward
        dx = net.backward(dlogits)  # fills net.grads

    Raises TypeError for what is no layer or when the layers differ in dtype, ValueError for no
    layer or for one that stands twice.
    """

    def __init__(self, layers: Iterable[Layer]):
        super().__init__(layers)
        self._flatten()

    def _flatten(self):
        """Move all parameters and gradients into one array each."""
        arrays = [p for layer in self._leaves for p in layer.params.values()]
        dtypes = {a.dtype for a in arrays}
        if len(dtypes) > 1:
            raise TypeError(f"expected layers of one dtype, got {sorted(map(str, dtypes))}")
        self.dtype = dtypes.pop() if dtypes else np.dtype(np.float64)
        size = sum(a.size for a in arrays)
        self.flat_params, self.flat_grads = np.empty(size, self.dtype), np.zeros(size, self.dtype)
        start = 0
        for layer in self._leaves:
            for name, old in layer.params.items():
                part = slice(start, start := start + old.size)
                self.flat_params[part] = old.ravel()
                self.flat_grads[part] = layer.grads[name].ravel()
                layer.params[name] = self.flat_params[part].reshape(old.shape)
                layer.grads[name] = self.flat_grads[part].reshape(old.shape)

    def __setstate__(self, state):
        """A copy (copy.deepcopy, pickle) has one flat array too: views do not survive copying."""
        self.__dict__.update(state)
        self._flatten()

    __call__ = Stack.forward

    def nonlinearity_inputs(
        self, x: np.ndarray, before_norm: bool = False
    ) -> list[np.ndarray] | list[tuple[np.ndarray, np.ndarray]]:
        """What reaches each nonlinearity for the batch x, in training mode.

        Returns a list with one array per Activation; with ``before_norm`` one pair (before, z):
        z is that array, and ``before`` is what enters the norm that stands in front of the
        nonlinearity, or z itself where none does. BatchNorm uses the statistics of x, and its
        running statistics are left as they were, so looking does not change the network. The
        nonlinearities in the branch of a `Residual` are among them.
        """
        inputs, before, normed = [], None, None
        with self.as_it_was():
            for _, layer, z, y in self.train().trace(x):
                if isinstance(layer, Activation):
                    inputs.append((before if z is normed else z, z) if before_norm else z)
                if isinstance(layer, Normalization):
                    before, normed = z, y
        return inputs

    @contextmanager
    def as_it_was(self) -> Iterator[Sequential]:
        """Buffers, modes, momenta and random numbers of all layers come back after the block.

        with net.as_it_was():
            net.train()(x)  # running statistics move here, and are restored after it
        """
        back = self.remember()
        try:
            yield self
        finally:
            back()

    def gradient_norms(self) -> list[float]:
        """Norms of the gradients of the weights that feed each nonlinearity, in order."""
        norms, latest = [], np.nan
        for _, layer in self.leaves():
            if "weight" in layer.grads:
                latest = float(np.linalg.norm(layer.grads["weight"]))
            if isinstance(layer, Activation):
                norms.append(latest)
        return norms

    @property
    def nonlinearities(self) -> list[Activation]:
        """The Activation layers, in order."""
        return [layer for _, layer in self.leaves() if isinstance(layer, Activation)]

    def save(self, path: str | Path) -> Path:
        """Write all parameters and buffers to ``path`` (.npz), complete or not at all."""
        return save_arrays(path, self.state_dict())

    def load(self, path: str | Path) -> Sequential:
        """Load what `save` wrote. Returns the network; raises as `load_state_dict`."""
        self.load_state_dict(load_arrays(path, "the weights of a network"))
        return self

    def __repr__(self):
        lines = [f"Sequential, {self.flat_params.size:,} parameters, {self.dtype}"]
        width = max([32, *(len(str(layer)) for layer in self.layers)])
        for i, layer in enumerate(self.layers):
            count = sum(p.size for p in layer.params.values())
            lines.append(f"  {i:2d}  {layer!s:<{width}}" + (f"{count:>9,}" if count else ""))
        return "\n".join(line.rstrip() for line in lines)


def check_network(owner: str, net: Sequential) -> None:
    """Raise TypeError unless ``net`` is a network."""
    check_has(f"{owner} expected a network, such as mlp([784, 100, 10])", net, "flat_params")


def mlp(
    sizes: Iterable[int],
    norm: str | None = None,
    activation: str = "relu",
    init_scale: float | None = None,
    seed: int | np.random.Generator = 0,
    dtype: type = np.float64,
    norm_position: str = "before",
) -> Sequential:
    """A fully connected network: Dense -> [norm] -> activation, then a last Dense.

    The same seed gives the same weights with and without normalization, so that two networks
    differ in nothing else.

    Parameters
    ----------
    sizes : for example [784, 100, 100, 100, 10]
    norm : a name in `NORMS`: None, "batch", "layer", "group" (as many groups as have 8 units or
        more), "rms", "ghost" (ghost batches of 16) or "renorm"
    activation : "relu", "sigmoid" or "tanh"
    init_scale : weights start as N(0, init_scale^2 / fan_in). Default: sqrt(2) for relu
        (He et al. 2015), 1 otherwise
    seed : an int or a numpy Generator
    norm_position : "before" the activation, as in the paper, or "after" it

    A Dense that feeds a norm which cancels it has no bias (section 3.2 of Ioffe & Szegedy 2015).
    Returns a `Sequential`. Raises ValueError for a name it does not know or a size below 1.
    """
    sizes = _sizes("mlp", "sizes", sizes)
    before = _choose("norm_position", norm_position, {"before": True, "after": False})
    make_norm, cancels_bias = _choose("norm", norm, NORMS)
    make_activation = _choose("activation", activation, ACTIVATIONS)
    scale, rng = _init_scale(init_scale, activation), generator(seed)
    layers = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        bias = not (cancels_bias and before)
        std = scale * fan_in**-0.5
        layers.append(Dense(fan_in, fan_out, bias=bias, std=std, rng=rng, dtype=dtype))
        normed, active = make_norm((fan_out,), dtype), [make_activation()]
        layers += normed + active if before else active + normed
    std = scale * sizes[-2] ** -0.5
    return Sequential([*layers, Dense(*sizes[-2:], std=std, rng=rng, dtype=dtype)])


def cnn(
    channels: Iterable[int] = (1, 16, 32),
    norm: str | None = None,
    activation: str = "relu",
    image_size: int = 28,
    num_classes: int = 10,
    init_scale: float | None = None,
    seed: int | np.random.Generator = 0,
    dtype: type = np.float64,
) -> Sequential:
    """A small convolutional network: Conv2d -> [norm] -> activation -> MaxPool2d, and a Dense.

    One such block for each entry of ``channels`` after the first: a 3x3 convolution that keeps the
    image's size (padding 1), then 2x2 pooling that halves it. ``Flatten`` and ``Dense`` turn the
    last feature maps into ``num_classes`` logits. The same seed gives the same weights with and
    without normalization. A Conv2d that feeds a norm which cancels it has no bias.

    Parameters
    ----------
    channels : of the image and of each block's feature maps
    norm : a name in `NORMS`, as for `mlp`, and "instance". On images "layer" is what Wu & He 2018
        mean by it, ``GroupNorm(1, C)``; groups have 4 channels or more, and "rms" normalises over
        all of an example, with one gamma for each of its values
    image_size : side of the square images
    activation, init_scale, seed : as for `mlp`; the fan_in of a convolution is C * 9

    Returns a `Sequential` for x (N, channels[0], image_size, image_size). Raises ValueError for a
    name it does not know or an image that is too small for so many blocks.
    """
    channels = _sizes("cnn", "channels", channels)
    blocks = len(channels) - 1
    if check_int("cnn expected image_size", image_size) < 2**blocks:
        raise ValueError(
            f"cnn expected image_size >= {2**blocks} for {blocks} blocks, each of which halves the "
            f"image, got {image_size}"
        )
    make_norm, cancels_bias = _choose("norm", norm, NORMS)
    make_activation = _choose("activation", activation, ACTIVATIONS)
    scale, rng = _init_scale(init_scale, activation), generator(seed)
    layers = []
    for block, (c_in, c_out) in enumerate(pairwise(channels)):
        std, side = scale * (c_in * 9) ** -0.5, image_size // 2**block
        bias = not cancels_bias
        layers.append(Conv2d(c_in, c_out, 3, padding=1, bias=bias, std=std, rng=rng, dtype=dtype))
        layers += [*make_norm((c_out, side, side), dtype), make_activation(), MaxPool2d(2)]
    features = channels[-1] * (image_size // 2**blocks) ** 2
    std = scale * features**-0.5
    layers += [Flatten(), Dense(features, num_classes, std=std, rng=rng, dtype=dtype)]
    return Sequential(layers)


def default_init_scale(activation: str) -> float:
    """sqrt(2) for "relu", which halves the mean square of the signal (He et al. 2015), else 1."""
    return math.sqrt(2) if activation == "relu" else 1.0


def _init_scale(init_scale, activation):
    if init_scale is None:
        return default_init_scale(activation)
    return check_real("expected a finite init_scale >= 0", init_scale)


def _sizes(function, name, sizes):
    try:
        sizes = list(sizes)
        checked = [check_int(name, size) for size in sizes]
    except (TypeError, ValueError):
        checked = []
    if len(checked) < 2:
        raise ValueError(f"{function} expected at least two positive {name}, got {sizes!r:.80}")
    return checked


def _choose(name, value, known):
    if not isinstance(value, (str, type(None))) or value not in known:
        raise ValueError(f"{name} expected one of {tuple(known)}, got {value!r:.80}")
    return known[value]
