"""The one training loop, and comparisons of networks that differ in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnlib.data import Data
from bnlib.losses import softmax_cross_entropy
from bnlib.network import Sequential, check_network, mlp
from bnlib.optim import SGD
from bnlib.recording import Recorder, Recording
from bnlib.threads import blas_threads, one_blas_thread
from bnlib.views import NonFiniteError, check_has, check_int

LONG_RUN = 5_000  # steps; from here on train() shows a progress bar unless told otherwise


@dataclass(frozen=True)
class Run:
    """A training run, finished or as far as it got."""

    net: Sequential  # the trained network itself, not a copy
    losses: np.ndarray  # (steps,), the loss of each step's batch before its update, in nats
    diverged_at: int | None  # the step at which the loss stopped being finite
    recording: Recording | None

    def __repr__(self) -> str:
        if self.diverged_at is not None:
            return f"Run(diverged at step {self.diverged_at})"
        if not len(self.losses):
            return "Run(0 steps)"
        return f"Run({len(self.losses)} steps, last loss {np.mean(self.losses[-20:]):.3g})"


class Trainer:
    """Trains a network with SGD, as many steps at a time as the caller likes.

        for each step: draw a batch, forward, loss, backward, update

    Batches come from a shuffle of the training set that depends on ``seed`` alone, one new shuffle
    an epoch, incomplete batches dropped. A loss that is not finite ends the training: the step is
    kept in ``diverged_at``, the weights are left as they were before that step, and `advance`
    does nothing from then on. An interrupt (Ctrl-C) leaves a network that can be used, the losses
    so far in `run`, and `advance` goes on from there. BLAS works in one thread.

    Parameters
    ----------
    net : a `Sequential`; it is trained in place and left in training mode
    data : a `bnlib.data.Data`
    lr, momentum, weight_decay : of `bnlib.SGD`
    batch_size : examples a step
    seed : of the shuffles, a whole number
    recorder : a `bnlib.Recorder` or None; a fresh copy of it takes the frames

    Raises ValueError or TypeError, before anything has changed, for a setting out of range and for
    data that does not fit the network: images of another size or dtype, labels beyond its outputs.
    """

    def __init__(
        self,
        net: Sequential,
        data: Data,
        lr: float,
        batch_size: int,
        seed: int = 0,
        recorder: Recorder | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        check_has("expected data as load_mnist() returns it", data, "x_train")
        self.batch_size = check_int("expected batch_size", batch_size)
        if batch_size > len(data.x_train):
            raise ValueError(
                f"expected batch_size <= {len(data.x_train)}, the size of the training set, got "
                f"{batch_size}"
            )
        self.net, self.data = net, data
        if recorder is not None:
            check_has("expected a bnlib.Recorder, or None", recorder, "fresh")
            recorder = recorder.fresh()
        self.recorder = recorder
        self.optimizer = SGD(net, lr, momentum, weight_decay)
        self.losses, self.diverged_at = [], None
        self._rng = np.random.default_rng(check_int("expected seed", seed, 0))
        self._order, self._next = None, 0
        self._check_data()

    @property
    def step_count(self) -> int:
        """Updates made so far."""
        return len(self.losses)

    @one_blas_thread()
    def advance(self, steps: int) -> None:
        """Make ``steps`` more updates (0 or more), fewer if the network diverges."""
        check_int("advance expected steps", steps, 0)
        if self.recorder is not None and not self.losses and not self.recorder.steps:
            self._record_start()
        for _ in range(steps):
            if self.diverged_at is not None:
                break
            self._step(self._draw())

    def run(self) -> Run:
        """What there is so far, as a `Run`."""
        recording = None
        if self.recorder is not None and self.recorder.steps:
            recording = self.recorder.recording(self.diverged_at)
        return Run(self.net, np.array(self.losses), self.diverged_at, recording)

    @one_blas_thread()
    def _check_data(self):
        """Two images through the network: what does not fit raises now, and nothing has moved."""
        with self.net.as_it_was(), np.errstate(over="ignore", invalid="ignore"):
            # An image that is a batch by itself passes as it will in training: BatchNorm refuses.
            net = self.net.train() if self.batch_size == 1 else self.net.eval()
            try:
                logits = net(self.data.batch(slice(0, min(2, self.batch_size)), net.dtype)[0])
            except NonFiniteError:  # it has diverged before; the first step will say so
                return
        labels = np.asarray(self.data.y_train)
        if labels.shape != (len(self.data.x_train),):
            raise ValueError(
                f"expected one label for each of the {len(self.data.x_train)} training images, got "
                f"labels of shape {labels.shape}"
            )
        ends = np.array([labels.min(), labels.max()])  # the others lie between
        softmax_cross_entropy(np.zeros((2, *logits.shape[1:])), ends)

    def _step(self, batch):
        loss = self._gradients(*batch)
        if loss is None:
            self.diverged_at = self.step_count
            return
        with np.errstate(over="ignore", invalid="ignore"):  # the next loss shows it
            self.optimizer.step()
        self.losses.append(loss)
        if self.recorder is not None and self.recorder.is_due(self.step_count):
            self._record(loss)

    def _gradients(self, x, labels):
        """Fill the gradients for one batch and return its loss, or None if one is not finite."""
        # A diverging network overflows on its way; the checks say so, once and clearly.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                loss, dlogits = softmax_cross_entropy(self.net.train().forward(x), labels)
                if not np.isfinite(loss):
                    return None
                self.net.backward(dlogits, input_gradient=False)
            except NonFiniteError:
                return None
        return loss

    def _record(self, loss):
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                self.recorder.record(self.net, self.step_count, loss)
            except NonFiniteError:
                self.diverged_at = self.step_count

    def _record_start(self):
        """Record the untrained network, with the loss and gradients of the first batch."""
        batch = self._draw()
        self._next = 0  # training starts with the same batch
        with self.net.as_it_was():
            loss = self._gradients(*batch)
        if loss is None:
            self.diverged_at = 0
        else:
            self._record(loss)

    def _draw(self):
        if self._order is None or self._next + self.batch_size > len(self._order):
            self._order, self._next = self._rng.permutation(len(self.data.x_train)), 0
        indices = self._order[self._next : self._next + self.batch_size]
        self._next += self.batch_size
        return self.data.batch(indices, self.net.dtype)


def train(
    net: Sequential,
    data: Data,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int = 0,
    recorder: Recorder | None = None,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    progress: bool | None = None,
) -> Run:
    """Train ``net`` in place for ``steps`` (1 or more) steps of SGD and return a `Run`.

    A network that diverges is not an error: the run ends early and says so in ``diverged_at``.
    ``progress`` shows a tqdm bar; by default for runs of 5,000 steps and more. Other parameters
    and errors as in `Trainer`.

    An interrupt (Ctrl-C, the notebook's stop button) raises KeyboardInterrupt, whose ``runs`` maps
    "net" to the `Run` so far. The network can be used; to go on where it stopped, use a `Trainer`.
    """
    settings = {"momentum": momentum, "weight_decay": weight_decay, "progress": progress}
    return compare({"net": net}, data, steps, lr, batch_size, seed, recorder, **settings)["net"]


def compare(
    networks: Mapping[str, Sequential],
    data: Data,
    steps: int,
    lr: float | Mapping[str, float],
    batch_size: int,
    seed: int = 0,
    recorder: Recorder | None = None,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    progress: bool | None = None,
) -> dict[str, Run]:
    """Train several networks on the same batches from the same initial weights.

    ``networks`` maps a name to a network. Weights of equal name order and shape must start equal
    (build the networks with one seed), otherwise a ValueError says which do not: a comparison of
    lucky draws is not one of methods. A network has one name only. ``lr`` is a number, or one
    number a name. Each network gets a fresh copy of ``recorder``. Returns a dict of
    name -> `Run`; other parameters as in `train`.
    An interrupt raises KeyboardInterrupt, whose ``runs`` maps the names to the `Run`s so far.
    """
    check_int("expected steps", steps)
    check_has("compare expected a dict of name -> network", networks, "items")
    for net in networks.values():
        check_network("compare", net)
    check_same_start(networks)
    rates = lr if isinstance(lr, Mapping) else dict.fromkeys(networks, lr)
    if missing := [name for name in networks if name not in rates]:
        raise ValueError(f"compare expected a learning rate for each network, {missing} have none")
    trainers = {
        name: Trainer(net, data, rates[name], batch_size, seed, recorder, momentum, weight_decay)
        for name, net in networks.items()
    }
    bar = steps >= LONG_RUN if progress is None else progress
    try:
        for name, trainer in trainers.items():
            _advance(trainer, steps, bar, "training" if len(trainers) == 1 else name)
    except KeyboardInterrupt as interrupt:
        interrupt.runs = {name: trainer.run() for name, trainer in trainers.items()}
        interrupt.add_note("The runs so far: import sys; sys.last_value.runs")
        raise
    return {name: trainer.run() for name, trainer in trainers.items()}


def check_same_start(networks: Mapping[str, Sequential]) -> None:
    """Raise ValueError unless they are different networks with equal weights, layer by layer."""

    def weights(net):
        return [p for name, p in net.params.items() if name.endswith(".weight")]

    names = list(networks)
    if len({id(net) for net in networks.values()}) < len(names):
        raise ValueError(
            f"expected a network for each of {names}, got one of them twice: it would train on "
            "where it stopped. Build each anew, with the same seed"
        )
    for name in names[1:]:
        for i, (a, b) in enumerate(zip(weights(networks[names[0]]), weights(networks[name]))):
            if a.shape == b.shape and not np.array_equal(a, b):
                raise ValueError(
                    f"weight matrix {i} of {names[0]!r} and {name!r} differ at the start: build "
                    "the networks with the same seed and init_scale to compare them"
                )


@one_blas_thread()
def accuracy(net: Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of ``images`` (N, ...) that ``net`` classifies as ``labels`` (N,), in [0, 1].

    Uses evaluation mode, in chunks of 250 (a CNN needs 0.5 MB an image), and restores the mode
    afterwards. A network whose outputs are not finite gets its share of correct guesses like any
    other. Raises ValueError for labels that do not go with the images, TypeError for labels that
    are not integers.
    """
    check_network("accuracy", net)
    labels = np.asarray(labels)
    if labels.shape != np.shape(images)[:1] or not labels.size:
        raise ValueError(
            f"accuracy expected images (N, ...) and labels (N,) with N >= 1, got shapes "
            f"{np.shape(images)} and {labels.shape}: one class index an image"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"accuracy expected integer labels, got {labels.dtype}: the class indices")
    with net.as_it_was(), np.errstate(over="ignore", invalid="ignore"):
        net.eval()
        hits = sum(
            int((net(images[i : i + 250]).argmax(axis=1) == labels[i : i + 250]).sum())
            for i in range(0, len(labels), 250)
        )
    return hits / len(labels)


def training_blas_threads() -> int | None:
    """How many threads BLAS uses inside `train`, looked up there; None if it cannot be known."""
    seen = []

    class Watching(Data):
        def batch(self, indices, dtype):
            seen.append(blas_threads())
            return super().batch(indices, dtype)

    images, labels = np.zeros((4, 2), np.uint8), np.zeros(4, np.int64)
    train(mlp([2, 2]), Watching(images, labels, images, labels), 1, 0.1, 4)
    return seen[-1]


def _advance(trainer, steps, bar, name):
    if not bar:
        trainer.advance(steps)
        return
    from tqdm.auto import tqdm  # here, because it costs a fifth of `import bnlib`

    with tqdm(total=steps, desc=name, unit="step") as progress:
        while trainer.step_count < steps and trainer.diverged_at is None:
            before = trainer.step_count
            trainer.advance(min(100, steps - before))
            progress.update(trainer.step_count - before)
