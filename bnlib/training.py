"""The one training loop, and comparisons of networks that differ in one thing."""

from dataclasses import dataclass

import numpy as np

from bnlib.functional import NonFiniteError
from bnlib.losses import softmax_cross_entropy
from bnlib.optim import SGD
from bnlib.recording import Recorder, Recording

LONG_RUN = 5_000  # steps; from here on train() shows a progress bar unless told otherwise


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    net: object  # the trained Sequential
    losses: np.ndarray  # (steps,), the loss of each step's batch before its update, in nats
    diverged_at: int | None  # the step at which the loss stopped being finite
    recording: Recording | None

    def __repr__(self):
        if self.diverged_at is not None:
            return f"Run(diverged at step {self.diverged_at})"
        return f"Run({len(self.losses)} steps, last loss {np.mean(self.losses[-20:]):.3g})"


class Trainer:
    """Trains a network with SGD, as many steps at a time as the caller likes.

        for each step: draw a batch, forward, loss, backward, update

    Batches come from a shuffle of the training set that depends on ``seed`` alone, one new shuffle
    an epoch, incomplete batches dropped. A loss that is not finite ends the training: the step is
    kept in ``diverged_at``, the weights are left as they were before that step, and `advance`
    does nothing from then on.

    Parameters
    ----------
    net : a `Sequential`; it is trained in place and left in training mode
    data : a `bnlib.data.Data`
    lr, momentum, weight_decay : of `bnlib.SGD`
    batch_size : examples a step
    seed : of the shuffles
    recorder : a `bnlib.Recorder` or None
    """

    def __init__(
        self, net, data, lr, batch_size, seed=0, recorder=None, momentum=0.0, weight_decay=0.0
    ):
        if not 1 <= batch_size <= len(data.x_train):
            raise ValueError(
                f"expected batch_size from 1 to {len(data.x_train)}, the size of the training set, "
                f"got {batch_size}"
            )
        self.net, self.data, self.batch_size, self.recorder = net, data, batch_size, recorder
        self.optimizer = SGD(net, lr, momentum, weight_decay)
        self.losses, self.diverged_at = [], None
        self._rng = np.random.default_rng(seed)
        self._order, self._next = None, 0

    @property
    def step_count(self):
        """Updates made so far."""
        return len(self.losses)

    def advance(self, steps):
        """Make ``steps`` more updates, fewer if the network diverges."""
        if self.recorder is not None and not self.losses and not self.recorder.steps:
            self._record_start()
        for _ in range(steps):
            if self.diverged_at is not None:
                break
            self._step(self._draw())

    def run(self):
        """What there is so far, as a `Run`."""
        recording = None
        if self.recorder is not None and self.recorder.steps:
            recording = self.recorder.recording(self.diverged_at)
        return Run(self.net, np.array(self.losses), self.diverged_at, recording)

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
        """Fill the gradients for one batch and return its loss, or None if that is not finite."""
        # A diverging network overflows on its way; the check below says so, once and clearly.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                logits = self.net.train().forward(x)
            except NonFiniteError:
                return None
            loss, dlogits = softmax_cross_entropy(logits, labels)
            if not np.isfinite(loss):
                return None
            self.net.backward(dlogits, input_gradient=False)
        return loss

    def _record(self, loss):
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                self.recorder.record(self.net, self.step_count, loss)
            except NonFiniteError:
                self.diverged_at = self.step_count

    def _record_start(self):
        """Record the untrained network, with the loss and gradients of the first batch."""
        with self.net.as_it_was():
            loss = self._gradients(*self._draw())
        self._next -= self.batch_size  # training starts with the same batch
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
    net,
    data,
    steps,
    lr,
    batch_size,
    seed=0,
    recorder=None,
    *,
    momentum=0.0,
    weight_decay=0.0,
    progress=None,
):
    """Train ``net`` in place for ``steps`` steps of SGD and return a `Run`.

    A network that diverges is not an error: the run ends early and says so in ``diverged_at``.
    ``progress`` shows a tqdm bar; by default for runs of 5,000 steps and more. Other parameters
    as in `Trainer`.
    """
    trainer = Trainer(net, data, lr, batch_size, seed, recorder, momentum, weight_decay)
    _advance(trainer, steps, _wants_bar(progress, steps), "training")
    return trainer.run()


def compare(
    networks,
    data,
    steps,
    lr,
    batch_size,
    seed=0,
    recorder=None,
    *,
    momentum=0.0,
    weight_decay=0.0,
    progress=None,
):
    """Train several networks on the same batches from the same initial weights.

    ``networks`` maps a name to a network. Weights of equal name order and shape must start equal
    (build the networks with one seed), otherwise a ValueError says which do not: a comparison of
    lucky draws is not one of methods. ``lr`` is a number, or one number a name. Each network gets
    a fresh copy of ``recorder``. Returns a dict of name -> `Run`; other parameters as in `train`.
    """
    check_same_start(networks)
    runs = {}
    for name, net in networks.items():
        trainer = Trainer(
            net,
            data,
            lr[name] if isinstance(lr, dict) else lr,
            batch_size,
            seed,
            recorder.fresh() if isinstance(recorder, Recorder) else recorder,
            momentum,
            weight_decay,
        )
        _advance(trainer, steps, _wants_bar(progress, steps), name)
        runs[name] = trainer.run()
    return runs


def check_same_start(networks):
    """Raise ValueError unless all networks have the same weight matrices, layer by layer."""

    def weights(net):
        return [p for name, p in net.params.items() if name.endswith(".weight")]

    names = list(networks)
    for name in names[1:]:
        for i, (a, b) in enumerate(zip(weights(networks[names[0]]), weights(networks[name]))):
            if a.shape == b.shape and not np.array_equal(a, b):
                raise ValueError(
                    f"weight matrix {i} of {names[0]!r} and {name!r} differ at the start: build "
                    "the networks with the same seed and init_scale to compare them"
                )


def accuracy(net, images, labels):
    """Share of ``images`` (N, ...) that ``net`` classifies as ``labels`` (N,), in [0, 1].

    Uses evaluation mode, in chunks of 250 (a CNN needs 0.5 MB an image), and restores the mode
    afterwards. A network whose outputs are not finite gets its share of correct guesses like any
    other.
    """
    mode = net.training
    net.eval()
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            hits = sum(
                int((net(images[i : i + 250]).argmax(axis=1) == labels[i : i + 250]).sum())
                for i in range(0, len(images), 250)
            )
    finally:
        if mode:
            net.train()
    return hits / len(images)


def _wants_bar(progress, steps):
    return steps >= LONG_RUN if progress is None else progress


def _advance(trainer, steps, bar, name):
    if not bar:
        trainer.advance(steps - trainer.step_count)
        return
    from tqdm.auto import tqdm  # here, because it costs a fifth of `import bnlib`

    with tqdm(total=steps, desc=name, unit="step") as progress:
        while trainer.step_count < steps and trainer.diverged_at is None:
            before = trainer.step_count
            trainer.advance(min(100, steps - before))
            progress.update(trainer.step_count - before)
