"""What every layer's activations and gradients look like while a network trains."""

import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from bnlib.functional import NonFiniteError, channels_view, statistics

PERCENTILES = (15, 50, 85)  # of Ioffe & Szegedy 2015, Fig. 1


@dataclass(frozen=True, eq=False)
class Recording:
    """T frames of a run, for a network with L nonlinearities. All of it is arrays, ready to plot.

    Distributions are those of the *inputs of the nonlinearities* for one fixed probe batch.
    Frame 0 is the untrained network; its loss and gradient norms are those of the first batch,
    those of later frames of the batch that the network has just learned from.

    The last five arrays follow K single channels of each layer (units, if it is dense) and are None
    unless the `Recorder` was asked for ``channels``.
    """

    layer_names: tuple[str, ...]  # (L,), for example "1: sigmoid"
    steps: np.ndarray  # (T,), updates made before the frame
    edges: np.ndarray  # (B + 1,), of the histogram's bins
    histogram: np.ndarray  # (T, L, B), shares that sum to 1; the end bins hold all beyond
    percentiles: np.ndarray  # (T, L, 3), 15/50/85 of all units
    unit_percentiles: np.ndarray  # (T, L, 3), of one typical unit, or channel of a conv layer
    mean: np.ndarray  # (T, L), of all units together
    std: np.ndarray  # (T, L), of all units together: also large where only the units differ
    unit_std: np.ndarray  # (T, L), of a single unit over the probe: the median of all units
    saturated: np.ndarray  # (T, L), share in [0, 1] whose derivative is below 5 % of its maximum
    gradient_norm: np.ndarray  # (T, L), of the weights that feed the nonlinearity
    loss: np.ndarray  # (T,), of a training batch, in nats
    accuracy: np.ndarray  # (T,), on held-out images in evaluation mode, in [0, 1]
    diverged_at: int | None = None  # the step at which the loss stopped being finite
    channel_index: np.ndarray | None = None  # (L, K), which channels of each layer
    channel_histogram: np.ndarray | None = None  # (T, L, K, B), shares, with the same edges
    channel_percentiles: np.ndarray | None = None  # (T, L, K, 3), 15/50/85
    channel_mean: np.ndarray | None = None  # (T, L, K)
    channel_std: np.ndarray | None = None  # (T, L, K)

    def save(self, path):
        """Write to ``path`` (.npz, compressed, no pickle)."""
        arrays = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        arrays["diverged_at"] = np.array(-1 if self.diverged_at is None else self.diverged_at)
        arrays["layer_names"] = np.array(self.layer_names, dtype=str)
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. Raises ValueError for a file that is not a recording."""
        expected = {f.name for f in fields(cls)}
        optional = {name for name in expected if name.startswith("channel_")}
        with np.load(Path(path), allow_pickle=False) as archive:
            if set(archive.files) not in (expected, expected - optional):
                raise ValueError(
                    f"expected a Recording with {sorted(expected - optional)} in {path}, "
                    f"got {sorted(archive.files)}: was it saved by Recording.save?"
                )
            arrays = {name: archive[name] for name in archive.files}
        diverged = int(arrays.pop("diverged_at"))
        names = tuple(str(n) for n in arrays.pop("layer_names"))
        return cls(layer_names=names, diverged_at=None if diverged < 0 else diverged, **arrays)

    def frame_at(self, step):
        """Index of the last frame at or before ``step``."""
        return int(max(0, np.searchsorted(self.steps, step, side="right") - 1))

    def __repr__(self):
        size = f"{len(self.steps)} frames to step {self.steps[-1]}"
        return f"Recording({size}, {len(self.layer_names)} layers)"


class Recorder:
    """Takes a frame every ``every`` steps; `recording` returns them.

    Pass one to `bnlib.train` or `bnlib.compare`. Recording looks at the network without changing
    it: running statistics, batches and results of a run are the same with and without it.

    Parameters
    ----------
    data : a `Data`; the probe is the first ``probe_size`` training images, accuracy is measured
        on the first ``eval_size`` test images; a smaller set is used whole
    every : steps between frames
    bins, limits : of the histograms
    unit : index of the typical unit whose percentiles are kept
    sample : at most so many values a layer go into histogram and percentiles, evenly spaced, and a
        quarter as many a channel
    channels : so many channels of each layer, evenly spaced, are recorded one by one as well
        (fewer if a layer has fewer); 0 for none
    """

    def __init__(
        self,
        data,
        every=10,
        probe_size=200,
        eval_size=500,
        bins=60,
        limits=(-6.0, 6.0),
        unit=0,
        sample=8_000,
        channels=0,
    ):
        if every < 1 or probe_size < 2 or eval_size < 1:
            raise ValueError(
                "Recorder expected every >= 1, probe_size >= 2 and eval_size >= 1, "
                f"got {every}, {probe_size}, {eval_size}"
            )
        if bins < 2 or not limits[0] < limits[1]:
            raise ValueError(f"Recorder expected bins >= 2 and rising limits, got {bins}, {limits}")
        self.data, self.every, self.probe_size, self.eval_size = data, every, probe_size, eval_size
        if channels < 0 or sample < 4:
            raise ValueError(
                f"Recorder expected channels >= 0 and sample >= 4, got {channels} and {sample}"
            )
        self.bins, self.limits, self.unit, self.sample = bins, limits, unit, sample
        self.channels, self._channel_index = channels, None
        self.steps, self._frames, self._layer_names, self._batches = [], [], (), {}

    def fresh(self):
        """A Recorder with the same settings and no frames."""
        return Recorder(
            self.data,
            self.every,
            self.probe_size,
            self.eval_size,
            self.bins,
            self.limits,
            self.unit,
            self.sample,
            self.channels,
        )

    def is_due(self, step):
        """Whether a frame is wanted after ``step`` updates."""
        return step % self.every == 0

    def record(self, net, step, loss):
        """Append a frame; ``net.grads`` must hold the gradients that go with ``loss``.

        Raises NonFiniteError, and appends nothing, when the network has diverged.
        """
        probe, images, labels = self._load(net.dtype)
        inputs = net.nonlinearity_inputs(probe)
        _check_finite(inputs, "the inputs of the nonlinearities")
        if self.channels:
            count = min([self.channels, *(z.shape[1] for z in inputs)])
            self._channel_index = np.array(
                [np.linspace(0, z.shape[1] - 1, count).round().astype(int) for z in inputs]
            )
        layers = [
            self._summary(z, layer) | {"gradient_norm": norm}
            for z, layer, norm in zip(inputs, net.nonlinearities, _gradient_norms(net))
        ]
        if self.channels:
            for layer, z, channels in zip(layers, inputs, self._channel_index, strict=True):
                layer |= self._channel_summary(z, channels)
        frame = {key: [layer[key] for layer in layers] for key in layers[0]}
        _check_finite([frame["mean"], frame["std"]], "their mean and spread")
        mode = net.training
        hits = net.eval()(images).argmax(axis=1) == labels
        if mode:
            net.train()
        self._layer_names = tuple(f"{i}: {a.name}" for i, a in enumerate(net.nonlinearities, 1))
        self._frames.append(frame | {"loss": loss, "accuracy": hits.mean()})
        self.steps.append(step)

    def recording(self, diverged_at=None):
        """All frames so far, as a `Recording`."""
        if not self._frames:
            raise RuntimeError("Recorder has no frames yet: pass it to train() or compare() first")
        arrays = {key: np.array([f[key] for f in self._frames]) for key in self._frames[0]}
        edges = np.linspace(*self.limits, self.bins + 1)
        return Recording(
            layer_names=self._layer_names,
            steps=np.array(self.steps),
            edges=edges,
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
        values = _sample(z, self.sample)
        unit = _sample(z[:, self.unit % z.shape[1]], self.sample)
        return {
            "histogram": _histogram(values, self.bins, self.limits),
            "percentiles": _percentiles(values),
            "unit_percentiles": _percentiles(unit),
            "mean": float(values.mean()),
            "std": float(values.std()),
            "unit_std": float(np.median(np.sqrt(statistics(channels_view(z))[1]))),
            "saturated": float(layer.saturated(values).mean()),
        }

    def _channel_summary(self, z, channels):
        samples = [_sample(z[:, c], self.sample // 4) for c in channels]
        return {
            "channel_histogram": [_histogram(v, self.bins, self.limits) for v in samples],
            "channel_percentiles": [_percentiles(v) for v in samples],
            "channel_mean": [float(v.mean()) for v in samples],
            "channel_std": [float(v.std()) for v in samples],
        }


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


def _gradient_norms(net):
    """Norm of the weight gradient of the layer that feeds each nonlinearity."""
    norms, latest = [], np.nan
    for layer in net.layers:
        if "weight" in layer.grads:
            latest = float(np.linalg.norm(layer.grads["weight"]))
        if layer in net.nonlinearities:
            norms.append(latest)
    return norms
