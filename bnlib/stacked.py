"""Small networks trained together: side by side, they are one wide network.

A layer of 100 units is too small to keep a processor busy: NumPy's overhead for each operation
costs as much as the arithmetic. Six such layers beside each other are a layer of 600 units in which
no unit sees the inputs of another network, so each operation works on six times as much:

    activations    (N, networks * D), network k has the columns k * D to (k + 1) * D
    Dense          a weight matrix for each network: `StackedDense`
    BatchNorm      as it is, over networks * D features: every feature has its own statistics
    ReLU and such  as they are, element by element

Results are those of the networks trained one at a time, up to rounding.
"""

import numpy as np

from bnlib.functional import NonFiniteError, ones
from bnlib.layers import Activation, Dense, Layer
from bnlib.losses import cross_entropy_rows
from bnlib.network import Sequential
from bnlib.norms import BatchNorm
from bnlib.optim import SGD
from bnlib.training import Run, Trainer


class StackedDense(Layer):
    """Several `bnlib.Dense` of one shape side by side.

    x is (N, networks * in_features), or (N, in_features) if all networks see the same input;
    y (N, networks * out_features). ``weight`` (networks, in_features, out_features), ``bias``
    (networks, out_features). Backward goes as far as the parameters if the input is shared.
    """

    def __init__(self, networks, in_features, out_features, bias=True, dtype=np.float64):
        super().__init__()
        self.add_param("weight", np.zeros((networks, in_features, out_features), dtype))
        if bias:
            self.add_param("bias", np.zeros((networks, out_features), dtype))

    def forward(self, x):
        networks, in_features, out_features = self.params["weight"].shape
        self._cache = x = by_network(x, in_features)
        y = np.empty((x.shape[1], networks * out_features), x.dtype)
        np.matmul(x, self.params["weight"], out=by_network(y, out_features))
        if "bias" in self.params:
            y += self.params["bias"].ravel()
        return y

    def backward(self, dy):
        self.backward_params(dy)
        networks, in_features, out_features = self.params["weight"].shape
        dx = np.empty((len(dy), networks * in_features), dy.dtype)
        weight_t = self.params["weight"].transpose(0, 2, 1)
        np.matmul(by_network(dy, out_features), weight_t, out=by_network(dx, in_features))
        return dx

    def backward_params(self, dy):
        x_t = self._saved("batch").transpose(0, 2, 1)
        np.matmul(x_t, by_network(dy, self.params["weight"].shape[2]), out=self.grads["weight"])
        if "bias" in self.params:
            np.matmul(ones(len(dy), dy.dtype), dy, out=self.grads["bias"].reshape(-1))

    def __repr__(self):
        networks, in_features, out_features = self.params["weight"].shape
        return f"StackedDense({networks} x {in_features}, {out_features})"


def by_network(x, width):
    """View ``x`` (N, networks * width) as (networks, N, width)."""
    return x.reshape(len(x), -1, width).transpose(1, 0, 2)


def stack(nets):
    """One `Sequential` that computes what all of ``nets`` compute, side by side.

    The networks must be of one architecture, of Dense, BatchNorm and activations. Their parameters
    and running statistics are copied. Raises TypeError for another layer, ValueError for networks
    that differ in more than their numbers.
    """
    architectures = {repr(net) for net in nets}
    if len(architectures) != 1:
        raise ValueError(
            f"stack expected networks of one architecture, got {len(architectures)} different:\n"
            + "\n".join(sorted(architectures))
        )
    return Sequential([_stacked(layers) for layers in zip(*(net.layers for net in nets))])


def _stacked(layers):
    """The layers of the same place in several networks as one layer."""
    first, count = layers[0], len(layers)
    if isinstance(first, Dense):
        made = StackedDense(
            count, first.in_features, first.out_features, first.bias is not None, first.weight.dtype
        )
    elif isinstance(first, BatchNorm):
        settings = {(bn.eps, bn.momentum, bn.affine, bn.track_running_stats) for bn in layers}
        if len(settings) > 1:
            raise ValueError(
                "stack expected the same eps, momentum, affine and track_running_stats in every "
                f"network, got {sorted(map(str, settings))}"
            )
        made = BatchNorm(count * first.num_features, *settings.pop(), first.gamma.dtype)
    elif isinstance(first, Activation):
        return type(first)()
    else:
        raise TypeError(f"stack expected layers of Dense, BatchNorm and activations, got {first}")
    for name, target in (made.params | made.buffers).items():
        parts = [(layer.params | layer.buffers)[name] for layer in layers]
        if target.ndim:
            target[...] = np.stack(parts).reshape(target.shape)
        elif len(set(map(int, parts))) == 1:  # num_batches_tracked: one number, which all share
            target[...] = parts[0]
        else:
            raise ValueError(f"stack expected networks of one age, got {name} of {parts}")
    return made


class StackTrainer(Trainer):
    """Trains several networks together, on the same batches, each with its own learning rate.

    A network whose loss stops being finite leaves the stack, with the weights that it had before
    that step; the others go on. ``lrs`` is one learning rate a network; other parameters as in
    `Trainer`. `runs` copies the weights back into ``nets`` and returns a `Run` for each of them.
    """

    def __init__(self, nets, data, lrs, batch_size, seed=0, momentum=0.0, weight_decay=0.0):
        self.nets, self.lrs = list(nets), np.array(lrs)
        self.ends = [None] * len(self.nets)  # diverged_at of each network
        net, lr = self._stack(range(len(self.nets)))
        super().__init__(net, data, lr, batch_size, seed, None, momentum, weight_decay)

    def runs(self):
        """Every network's `Run` up to now, in the order of ``nets``."""
        self._write_back()
        losses = np.reshape(self.losses, (-1, len(self.nets)))
        return [
            Run(net, losses[:end, k].copy(), end, None)
            for k, (net, end) in enumerate(zip(self.nets, self.ends, strict=True))
        ]

    def _stack(self, members):
        """The networks with these numbers as a stack, and the learning rate of each parameter."""
        self._members = list(members)
        net = stack([self.nets[k] for k in self._members])
        # Row j: where the parameters of network j stand in the stack's flat_params.
        ends = np.cumsum([p.size for p in net.params.values()])
        places = np.split(np.arange(net.flat_params.size), ends[:-1])
        count = len(self._members)
        self._rows = np.concatenate([p.reshape(count, -1) for p in places], axis=1)
        lr = np.empty(net.flat_params.shape, net.dtype)
        lr[self._rows] = self.lrs[self._members, None]
        return net, lr

    def _step(self, batch):
        buffers = {name: b.copy() for name, b in self.net.buffers.items()}
        with np.errstate(over="ignore", invalid="ignore"):  # as in Trainer
            losses, finite, dlogits = self._losses(*batch)
            if not finite.all():
                for name, b in self.net.buffers.items():
                    b[...] = buffers[name]
                self._leave(finite)
                if self.diverged_at is None:
                    self._step(batch)  # without those that left
                return
            self.net.backward(dlogits, input_gradient=False)
            self.optimizer.step()
        everyone = np.full(len(self.nets), np.nan)
        everyone[self._members] = losses
        self.losses.append(everyone)

    def _losses(self, x, labels):
        """The loss of each network of the stack, whether it is finite, and the gradient."""
        count = len(self._members)
        try:
            logits = self.net.train().forward(x)
        except NonFiniteError as error:
            return None, error.finite.reshape(count, -1).all(axis=1), None
        rows = logits.reshape(len(x) * count, -1)
        losses, drows = cross_entropy_rows(rows, np.repeat(labels, count), len(x))
        losses = losses.reshape(len(x), count).sum(axis=0) / len(x)
        return losses, np.isfinite(losses), drows.reshape(logits.shape)

    def _leave(self, finite):
        """Go on without the networks whose loss is not ``finite``."""
        self._write_back()
        old, velocity = self.optimizer, self.optimizer.velocity[self._rows]
        for j in np.flatnonzero(~finite):
            self.ends[self._members[j]] = self.step_count
        if not finite.any():
            self.diverged_at = self.step_count
            return
        self.net, lr = self._stack([self._members[j] for j in np.flatnonzero(finite)])
        self.optimizer = SGD(self.net, lr, old.momentum, old.weight_decay)
        self.optimizer.velocity[self._rows] = velocity[finite]

    def _write_back(self):
        """Copy the stack's parameters and running statistics into the networks."""
        params = self.net.flat_params[self._rows]
        for j, k in enumerate(self._members):
            self.nets[k].flat_params[...] = params[j]
            for name, target in self.nets[k].buffers.items():
                whole = self.net.buffers[name]
                target[...] = whole.reshape(len(self._members), -1)[j] if whole.ndim else whole
