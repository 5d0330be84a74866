"""What every layer's activations and gradients look like while a network trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from bnlib.data import Data
from bnlib.network import Sequential, check_network
from bnlib.saving import load_arrays, save_arrays
from bnlib.threads import one_blas_thread
from bnlib.views import NonFiniteError, as_array, check_has, check_int

PERCENTILES = (15, 50, 85)  # of Ioffe & Szegedy 2015, Fig. 1
DEAD = 0.99  # a unit is dead if it is saturated on at least this share of the probe


@dataclass(frozen=True, eq=False)
class Recording:
    """T frames of a run, for a network with L nonlinearities. All of it is arrays, ready to plot.

    Distributions are those of the *inputs of the nonlinearities* for one fixed probe batch, which
    passes through the network in training mode: a BatchNorm normalises it with its own statistics.
    Frame 0 is the untrained network; its loss and gradient norms are those of the first batch,
    those of later frames of the batch that the network has just learned from. A *unit* is a column
    of a dense layer or a channel of a conv layer, over all images and positions of the probe.

    The ``channel_`` arrays follow K single units of each layer and are None unless the `Recorder`
    was asked for ``channels``. The ``before_`` arrays say the same of what enters the norm that
    stands in front of the nonlinearity (of the nonlinearity's input where no norm does), and are
    None unless it was asked for ``before_norm``.
    """

    layer_names: tuple[str, ...]  # (L,), for example "1: sigmoid"
    steps: np.ndarray  # (T,), updates made before the frame
    edges: np.ndarray  # (B + 1,), of the histogram's bins
    histogram: np.ndarray  # (T, L, B), shares that sum to 1; the end bins hold all beyond
    percentiles: np.ndarray  # (T, L, 3), 15/50/85 of all units
    unit_percentiles: np.ndarray  # (T, L, 3), of one typical unit
    mean: np.ndarray  # (T, L), of all units together
    std: np.ndarray  # (T, L), of all units together: also large where only the units differ
    unit_std: np.ndarray  # (T, L), of a single unit over the probe: the median of all units
    unit_movement: np.ndarray  # (T, L), |mean of a unit - its mean in frame 0|, mean of all units
    saturated: np.ndarray  # (T, L), share in [0, 1] whose derivative is below 5 % of its maximum
    dead: np.ndarray  # (T, L), share in [0, 1] of the units that are saturated on 99 % of the probe
    gradient_norm: np.ndarray  # (T, L), of the weights that feed the nonlinearity
    loss: np.ndarray  # (T,), of a training batch, in nats
    accuracy: np.ndarray  # (T,), on held-out images in evaluation mode, in [0, 1]
    diverged_at: int | None = None  # the step at which the loss stopped being finite
    channel_index: np.ndarray | None = None  # (L, K), which units of each layer
    channel_histogram: np.ndarray | None = None  # (T, L, K, B), shares, with the same edges
    channel_mean: np.ndarray | None = None  # (T, L, K)
    channel_std: np.ndarray | None = None  # (T, L, K)
    before_histogram: np.ndarray | None = None  # (T, L, K, B)
    before_mean: np.ndarray | None = None  # (T, L, K)
    before_std: np.ndarray | None = None  # (T, L, K)
    before_unit_std: np.ndarray | None = None  # (T, L)
    before_unit_movement: np.ndarray | None = None  # (T, L)

    def save(self, path: str | Path) -> Path:
        """Write to ``path`` (.npz, added if it is missing); the old file or the new one stands.

        Returns the path of the file.
        """
        arrays = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        arrays["diverged_at"] = np.array(-1 if self.diverged_at is None else self.diverged_at)
        arrays["layer_names"] = np.array(self.layer_names, dtype=str)
        return save_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read what `save` wrote. Raises ValueError for a file that is not a whole recording."""
        arrays = load_arrays(path, "a Recording")
        _check_arrays(arrays, path)
        diverged = int(arrays.pop("diverged_at"))
        names = tuple(str(n) for n in arrays.pop("layer_names"))
        return cls(layer_names=names, diverged_at=None if diverged < 0 else diverged, **arrays)

    def frame_at(self, step: int) -> int:
        """Index of the last frame at or before ``step``."""
        return int(max(0, np.searchsorted(self.steps, step, side="right") - 1))

    def __repr__(self) -> str:
        size = f"{len(self.steps)} frames to step {self.steps[-1]}"
        return f"Recording({size}, {len(self.layer_names)} layers)"


@dataclass(eq=False, repr=False)
class Recorder:
    """Takes a frame every ``every`` steps; `recording` returns them.

    Pass one to `bnlib.train` or `bnlib.compare`: each run works with a fresh copy, so the same
    Recorder serves any number of runs, and the frames are in the `Run`'s ``recording``. Recording
    looks at the network without changing it: running statistics, modes, batches and results of a
    run are the same with and without it.

    Parameters
    ----------
    data : a `Data`; the probe is the first ``probe_size`` training images, accuracy is measured
        on the first ``eval_size`` test images; a smaller set is used whole
    every : steps between frames
    bins, limits : of the histograms
    unit : index of the typical unit whose percentiles are kept
    sample : at most so many values a layer go into histogram and percentiles, evenly spaced, and a
        quarter as many a channel
    channels : so many units of each layer, evenly spaced, are recorded one by one as well (fewer if
        a layer has fewer); 0 for none
    before_norm : record these units in front of the norm too; needs ``channels``

    Raises ValueError for a setting out of range.
    """

    data: Data
    every: int = 10
    probe_size: int = 200
    eval_size: int = 500
    bins: int = 60
    limits: tuple[float, float] = (-6.0, 6.0)
    unit: int = 0
    sample: int = 8_000
    channels: int = 0
    before_norm: bool = False
    _frames: list[dict] = field(default_factory=list, init=False)
    _batches: dict = field(default_factory=dict, init=False)
    _layer_names: tuple[str, ...] = field(default=(), init=False)
    _channel_index: np.ndarray | None = field(default=None, init=False)
    _start: dict = field(default_factory=dict, init=False)  # the units' means in the first frame

    def __post_init__(self) -> None:
        least = {"every": 1, "probe_size": 2, "eval_size": 1, "bins": 2, "unit": 0, "sample": 4}
        for name, lowest in (least | {"channels": 0}).items():
            check_int(f"Recorder expected {name}", getattr(self, name), lowest)
        check_has("Recorder expected data as load_mnist() returns it", self.data, "x_train")
        limits = as_array("limits", self.limits)
        if limits.shape != (2,) or not 1e-30 < limits[1] - limits[0] < 1e30:
            raise ValueError(f"Recorder expected finite, rising limits, got {self.limits}")
        if self.before_norm and not self.channels:
            raise ValueError(
                "Recorder expected channels >= 1 with before_norm, got 0: the units are the same"
            )

    def fresh(self) -> Recorder:
        """A Recorder with the same settings and no frames."""
        return replace(self)

    @property
    def steps(self) -> list[int]:
        """The steps of the frames so far."""
        return [frame["steps"] for frame in self._frames]

    def is_due(self, step: int) -> bool:
        """Whether a frame is wanted after ``step`` updates."""
        return step % self.every == 0

    @one_blas_thread()
    def record(self, net: Sequential, step: int, loss: float) -> None:
        """Append a frame; ``net.grads`` must hold the gradients that go with ``loss``.

        Raises NonFiniteError, and appends nothing, when the network has diverged, and ValueError
        for a step that is not later than the last frame's.
        """
        check_network("Recorder", net)
        if self._frames and step <= (last := self._frames[-1]["steps"]):
            raise ValueError(
                f"Recorder expected a step after {last}, its last frame, got {step}: does it hold "
                "another run? Use recorder.fresh()"
            )
        probe, images, labels = self._load(net.dtype)
        pairs = net.nonlinearity_inputs(probe, before_norm=True)
        if not pairs:
            raise ValueError(
                "Recorder expected a network with nonlinearities, got none: it records their inputs"
            )
        _check_finite([z for _, z in pairs], "the inputs of the nonlinearities")
        count = min([self.channels, *(z.shape[1] for _, z in pairs)])
        index = [np.linspace(0, z.shape[1] - 1, count).round().astype(int) for _, z in pairs]
        layers = []
        for i, (before, z) in enumerate(pairs):
            seen = self._summary(z, net.nonlinearities[i]) | self._units("", z, i)
            if self.channels:
                seen |= self._channels("channel_", z, index[i])
            if self.before_norm:
                seen |= self._channels("before_", before, index[i])
                seen |= self._units("before_", before, i)
            layers.append(seen)
        frame = {key: [layer[key] for layer in layers] for key in layers[0]}
        numbers = [v for key, v in frame.items() if key.endswith(("mean", "std", "movement"))]
        _check_finite(numbers, "their mean and spread")
        norms = net.gradient_norms()  # NaN where no weights feed the nonlinearity
        _check_finite(np.nan_to_num(norms, posinf=np.inf), "the norms of the gradients")
        with net.as_it_was():
            hits = net.eval()(images).argmax(axis=1) == labels
        frame |= {"gradient_norm": norms, "accuracy": hits.mean()}
        self._layer_names = tuple(f"{i}: {a.name}" for i, a in enumerate(net.nonlinearities, 1))
        self._channel_index = np.array(index) if self.channels else None
        self._frames.append(frame | {"steps": step, "loss": loss})

    def recording(self, diverged_at: int | None = None) -> Recording:
        """All frames so far, as a `Recording`. Raises RuntimeError if there are none."""
        if not self._frames:
            raise RuntimeError(
                "Recorder has no frames yet: pass it to train() or compare(), which record into "
                "the recording of the Run that they return"
            )
        arrays = {key: np.array([f[key] for f in self._frames]) for key in self._frames[0]}
        return Recording(
            layer_names=self._layer_names,
            edges=np.linspace(*self.limits, self.bins + 1),
            diverged_at=diverged_at,
            channel_index=self._channel_index,
            **arrays,
        )

    def _load(self, dtype):
        if dtype not in self._batches:
            size = min(self.eval_size, len(self.data.x_test))
            probe = self.data.batch(slice(0, self.probe_size), dtype)[0]
            self._batches[dtype] = (probe, *self.data.test_batch(size, dtype))
        return self._batches[dtype]

    def _summary(self, z, layer):
        """What is kept of all values of a layer together, and of the typical unit."""
        values = _sample(z, self.sample)
        unit = _sample(z[:, self.unit % z.shape[1]], self.sample)
        saturated = np.mean(layer.saturated(z), axis=_other_axes(z))
        return {
            "histogram": _histogram(values, self.bins, self.limits),
            "percentiles": _percentiles(values),
            "unit_percentiles": _percentiles(unit),
            "mean": float(values.mean()),
            "std": float(values.std()),
            "saturated": float(saturated.mean()),
            "dead": float(np.mean(saturated >= DEAD)),
        }

    def _units(self, prefix, z, i):
        """How far the units of layer i spread, and how far their means are from the first frame."""
        means = z.mean(axis=_other_axes(z))
        start = self._start.setdefault((prefix, i), means)
        return {
            f"{prefix}unit_std": float(np.median(z.std(axis=_other_axes(z)))),
            f"{prefix}unit_movement": float(np.abs(means - start).mean()),
        }

    def _channels(self, prefix, z, index):
        """What is kept of single units."""
        samples = [_sample(z[:, c], self.sample // 4) for c in index]
        return {
            f"{prefix}histogram": [_histogram(v, self.bins, self.limits) for v in samples],
            f"{prefix}mean": [float(v.mean()) for v in samples],
            f"{prefix}std": [float(v.std()) for v in samples],
        }


# The axes of a Recording's arrays: T frames, L layers, K units of each, B bins and E edges.
AXES = {
    "layer_names": "L", "diverged_at": "", "steps": "T", "edges": "E", "histogram": "TLB",
    "percentiles": "TL3", "unit_percentiles": "TL3", "mean": "TL", "std": "TL", "unit_std": "TL",
    "unit_movement": "TL", "saturated": "TL", "dead": "TL", "gradient_norm": "TL", "loss": "T",
    "accuracy": "T",
}  # fmt: skip
OF_UNITS = {"histogram": "TLKB", "mean": "TLK", "std": "TLK"}
WITH_CHANNELS = AXES | {"channel_index": "LK"} | {f"channel_{k}": v for k, v in OF_UNITS.items()}
OF_UNITS |= {"unit_std": "TL", "unit_movement": "TL"}
ALL_AXES = WITH_CHANNELS | {f"before_{k}": v for k, v in OF_UNITS.items()}
KINDS = {"layer_names": "U", "diverged_at": "i", "steps": "i", "channel_index": "i"}


def _check_arrays(arrays, path):
    """Raise ValueError unless ``arrays`` are those of a Recording, with shapes that fit."""
    kinds = (AXES, WITH_CHANNELS, ALL_AXES)  # of recordings, by what the Recorder was asked for
    axes = next((kind for kind in kinds if kind.keys() == arrays.keys()), None)
    if axes is None:
        raise ValueError(
            f"expected a Recording with {sorted(AXES)} in {path}, got {sorted(arrays)}: was it "
            "saved by Recording.save, of this version?"
        )
    sizes = {"3": 3}
    for name, letters in axes.items():
        array, kind = arrays[name], KINDS.get(name, "f")
        fits = array.ndim == len(letters) and array.dtype.kind == kind
        for letter, size in zip(letters, array.shape):
            fits &= sizes.setdefault(letter, size) == size
        if not fits:
            raise ValueError(
                f"expected {name} of a Recording with the axes ({', '.join(letters)}) and kind "
                f"{kind!r} in {path}, where {sizes}, got {array.dtype} of shape {array.shape}: "
                "was the file altered?"
            )
    if sizes["E"] != sizes["B"] + 1 or not sizes["T"]:
        raise ValueError(
            f"expected a Recording with frames, and one edge more than bins, in {path}, got "
            f"{sizes['T']} frames, {sizes['E']} edges and {sizes['B']} bins: was the file altered?"
        )


def _check_finite(arrays, what):
    if not all(np.isfinite(a).all() for a in arrays):
        raise NonFiniteError(
            f"Recorder expected finite numbers in {what}, got NaN or infinity: has the network "
            "diverged?"
        )


def _sample(z, most):
    """At most ``most`` values of z, evenly spaced in memory, as a flat array.

    The spacing shares no factor with the size, so that it cannot keep hitting the same channel,
    position or image.
    """
    spacing = max(1, -(-z.size // most))
    while math.gcd(spacing, z.size) > 1:
        spacing += 1
    return z.ravel(order="K")[::spacing]


def _histogram(values, bins, limits):
    """Shares of ``values`` in equal bins. Scale, clip, cast, count: faster than np.histogram."""
    low, high = limits
    index = (values - low) * (bins / (high - low))
    np.clip(index, 0, bins - 1, out=index)
    return np.bincount(index.astype(np.intp), minlength=bins) / values.size


def _percentiles(values):
    """PERCENTILES of ``values`` by one sort, linearly interpolated as np.percentile does."""
    ordered = np.sort(values)
    position = np.array(PERCENTILES) / 100 * (ordered.size - 1)
    below = position.astype(np.intp)
    above = np.minimum(below + 1, ordered.size - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _other_axes(z):
    """All axes of z (N, units, ...) but that of the units."""
    return (0, *range(2, z.ndim))
