"""What is wrong with the batch normalization in a network: findings with numbers and advice."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from bnlib.convolution import Flatten, MaxPool2d
from bnlib.data import Data
from bnlib.layers import Activation, Dropout, Linear, Residual
from bnlib.network import Sequential, check_network
from bnlib.norms import BatchNorm, GhostNorm, InstanceNorm
from bnlib.threads import one_blas_thread
from bnlib.views import NonFiniteError, check_has, check_int

# The thresholds lie between what sound networks show (mlp and cnn, ReLU, sigmoid and tanh, 50 to
# 1000 steps, see tests/test_diagnosis.py) and the point at which a fault costs something.

# A batch of B examples knows a mean to 1/sqrt(B) standard deviations, a variance to sqrt(2/(B-1)):
# below 8 examples that is a third, and more than half.
SMALL_BATCH = 8
# Momentum is the weight of the new batch. Above 1/2 the running averages are little more than the
# last batch; the 0.9 and 0.99 of Keras, Flax and ONNX are meant the other way round.
FLIPPED = 0.5
# At var = 3 eps the standard deviation of xhat is sqrt(3/4) = 0.87 where BN promises 1.
EPS_RULES = 3.0
# gamma starts at 1. A channel with 1/20 of that passes on 1/20 of the signal and of the gradient.
SMALL_GAMMA = 0.05
# Running means may be off by chance, sqrt(momentum / (2 - momentum) / B): 0.03 standard deviations
# with the defaults, and by what the weights moved in 1 / momentum steps: in 20 sound networks the
# median over a layer's channels came to 0.35 at most, the worst channel to 0.75, and the variances
# to factors of 1.1 and 2.
MEAN_OFF = 0.6
VAR_OFF = 1.5  # a factor, up or down
# One channel can be far off where the others are right (a buffer that was overwritten).
ONE_MEAN_OFF, ONE_VAR_OFF = 1.5, 4.0
# A channel that is the same number in more than 99 % of its places has a variance of a few images.
NEARLY_ALL = 0.99
# A channel that lies within half its standard deviation of life may come back as the layers below
# it move; large rates leave some of those.
BEYOND = 0.5
# With BN behind its ReLUs (norm_position="after") 2 to 4 units of 64 died in each of eight networks
# that learned well; BN in front of them keeps them alive.
MANY_IDLE = 0.5


class Finding(NamedTuple):
    """One thing that is wrong: what, where, the number that shows it, and what to do."""

    id: str
    layer: str  # its index, as at the start of its arrays' names in state_dict; "" for all
    number: float
    text: str  # what was seen
    advice: str


class Diagnosis(list):
    """The findings of `diagnose`, a list of `Finding`; printed, one paragraph each."""

    @property
    def ids(self) -> set[str]:
        """The ids of all findings."""
        return {finding.id for finding in self}

    def __repr__(self) -> str:
        if not self:
            return "Nothing found."
        return "\n".join(
            f"{f.id}{', layer ' + f.layer if f.layer else ''}: {f.text}\n    {f.advice}"
            for f in self
        )


@one_blas_thread()
def diagnose(
    net: Sequential, data: Data, batch_size: int | None = None, n: int = 1000
) -> Diagnosis:
    """What is wrong with the batch normalization in ``net``, on the training images of ``data``.

    The first ``n`` images pass once in training mode, as one batch: what each BatchNorm receives
    is then compared with what it holds. ``batch_size`` is that of the training; None takes the
    last batch that each BatchNorm saw in training mode, if it saw one. The ids:

        not-finite             a parameter or running statistic is NaN or infinite
        batch-too-small        fewer than 8 examples share a mean and a variance
        batch-statistics-in-eval   in evaluation mode an image's output depends on the others
        averages-lag           the running statistics are not those of the training set
        momentum-flipped       the new batch has a weight above 1/2
        bias-before-bn         a bias that the mean subtracts again
        eps-rules              the variance of a channel is no larger than a few eps (behind a
                               nonlinearity, constant ones count if they are more than half)
        gamma-near-zero        a channel that is switched off (not at the end of a residual branch,
                               where it only means that the path around it is left alone)
        dead-channels          the nonlinearity behind it passes no gradient, for any image

    Returns a `Diagnosis`, a list of `Finding`; empty for a sound network. A layer that was never
    trained has nothing to lag behind: it has tracked no batch, and its betas are not all different,
    as training makes them. Changes nothing in ``net``. Raises ValueError for fewer than 2 images.
    """
    check_network("diagnose", net)
    check_has("diagnose expected data as load_mnist() returns it", data, "x_train")
    n = min(check_int("diagnose expected n", n, least=2), len(data.x_train))
    if n < 2:
        raise ValueError(f"diagnose expected at least 2 training images, got {n}")
    if batch_size is not None:
        check_int("diagnose expected batch_size", batch_size)
    found = Diagnosis(_not_finite(net))
    if found:
        return found
    twin = copy.deepcopy(net)  # so that a backward pass of net still finds its own batch
    places = list(_places(twin.layers))
    norms = [place for place in places if isinstance(place[1], BatchNorm)]
    found += _small_batches(norms, batch_size)
    for name, bn, *_ in norms:
        found += _settings(net, name, bn)
    for name, _, before, _ in places:
        if isinstance(before, Linear) and before.bias is not None:
            found.append(_bias(name, before))
    x = data.batch(slice(0, n), net.dtype)[0]
    try:
        with net.as_it_was(), twin.as_it_was(), np.errstate(all="ignore"):
            seen = {layer: entering for _, layer, entering, _ in twin.train().trace(x)}
            frozen = list(_uses_batch_in_eval(twin, norms, seen))
    except NonFiniteError as error:
        what = "Was the network trained at too large a rate? Train it again at a smaller one."
        return Diagnosis([*found, Finding("not-finite", "", np.nan, str(error), what)])
    named = {f.layer for f in found if f.id == "batch-statistics-in-eval"}
    found += [f for f in frozen if f.layer not in named]
    for name, bn, before, behind in norms:
        ends_branch = "branch" in name and not behind
        found += _channels(name, bn, seen[bn], before, ends_branch)
        found += _dead(name, bn, behind, seen)
    return Diagnosis(sorted(found, key=lambda f: [int(i) for i in f.layer.split(".branch.") if i]))


def _places(layers, prefix=""):
    """Each norm of a mean: its name, itself, the layer whose channels it receives, those behind.

    What is the same everywhere in a channel passes through a pooling as it is, and is the same for
    all images behind a Flatten. Nothing stands in front of a branch: the path around it does too.
    """
    for i, layer in enumerate(layers):
        if isinstance(layer, Residual):
            yield from _places(layer.branch, f"{prefix}{i}.branch.")
        elif isinstance(layer, BatchNorm | InstanceNorm):
            before = [p for p in layers[:i] if not isinstance(p, MaxPool2d | Flatten)]
            yield f"{prefix}{i}", layer, before[-1] if before else None, layers[i + 1 :]


def _not_finite(net):
    for name, array in {**net.params, **net.buffers}.items():
        if not np.isfinite(array).all():
            layer, count = name.rpartition(".")[0], int((~np.isfinite(array)).sum())
            yield Finding(
                "not-finite",
                layer,
                count,
                f"{count} of {array.size} numbers in {name} are NaN or infinite.",
                "Nothing can be read from such a network: train it again, at a smaller rate.",
            )


def _small_batches(norms, batch_size):
    for name, bn, *_ in norms:
        size = bn.last_batch if batch_size is None else batch_size
        if isinstance(bn, GhostNorm) and size is not None:
            size = min(size, bn.virtual_batch_size)
        if size is not None and size < SMALL_BATCH:
            yield Finding(
                "batch-too-small",
                name,
                size,
                f"{size} example{'s' * (size > 1)} share a mean and a variance in training, "
                f"expected {SMALL_BATCH} or more.",
                "Use a larger batch, or GroupNorm or LayerNorm, which need none.",
            )
            return  # the batch is the same for all layers


def _settings(net, name, bn):
    if not bn.track_running_stats:
        yield Finding(
            "batch-statistics-in-eval",
            name,
            1.0,
            "track_running_stats=False: evaluation mode uses the statistics of its batch.",
            "Build the layer with track_running_stats=True.",
        )
    elif bn.training and not net.training:
        yield Finding(
            "batch-statistics-in-eval",
            name,
            1.0,
            "The network is in evaluation mode and this layer in training mode.",
            "Call net.eval(), and do not switch single layers back.",
        )
    if bn.track_running_stats and bn.momentum is not None and bn.momentum > FLIPPED:
        yield Finding(
            "momentum-flipped",
            name,
            bn.momentum,
            f"momentum = {bn.momentum:g} gives the new batch that weight in the running averages.",
            f"Here, as in PyTorch, momentum is the weight of the new batch: if {bn.momentum:g} "
            f"comes from Keras, Flax or ONNX, use {1 - bn.momentum:.3g}.",
        )


def _bias(name, linear):
    size = float(np.abs(linear.bias).max())
    return Finding(
        "bias-before-bn",
        name,
        size,
        f"{linear} in front adds a bias (largest {size:.3g}), which the mean subtracts again.",
        "Build that layer with bias=False; beta does its work.",
    )


def _uses_batch_in_eval(net, norms, seen):
    """In evaluation mode the first images must come out the same alone as among the others."""
    net.eval()
    for name, bn, *_ in norms:
        x, few = seen[bn], max(2, len(seen[bn]) // 4)
        before = {key: b.copy() for key, b in bn.buffers.items()}
        apart = np.abs(bn.forward(x)[:few] - bn.forward(x[:few])).max()
        size = max(1.0, float(np.abs(bn.gamma).max()))
        moved = any(not np.array_equal(before[key], b) for key, b in bn.buffers.items())
        if apart > 1e-3 * size or moved:
            yield Finding(
                "batch-statistics-in-eval",
                name,
                float(apart),
                f"In evaluation mode the same images come out {apart:.2g} apart in a smaller batch"
                + (", and the running statistics move." if moved else "."),
                "Evaluation mode has to use the running statistics, and leave them as they are.",
            )


def _channels(name, bn, x, before, ends_branch):
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    mean, var = wide.mean(axes), wide.var(axes)
    c = len(mean)
    ruled = var < EPS_RULES * bn.eps
    if isinstance(before, Activation):
        idle = _nearly_constant(wide)  # where BN stands behind it, some units always die
        ruled &= ~idle | (idle.mean() > MANY_IDLE)
    if ruled.any():
        yield _eps(name, bn, wide, var, ruled)
    small = np.abs(bn.gamma) < SMALL_GAMMA
    if small.any() and not ends_branch:  # Goyal et al. 2017 start there, and some stay near it
        least = float(np.abs(bn.gamma).min())
        yield Finding(
            "gamma-near-zero",
            name,
            least,
            f"{small.sum()} of {c} channels have |gamma| < {SMALL_GAMMA:g} (the smallest is "
            f"{least:.2g}): hardly any signal or gradient passes.",
            "If nobody set it so: too much weight decay on gamma? These channels can be pruned.",
        )
    if not bn.track_running_stats or (bn.buffers["num_batches_tracked"] == 0 and not _trained(bn)):
        return
    std = np.sqrt(var + bn.eps)
    off = np.abs(bn.running_mean - mean) / std
    # eps stands on both sides, for channels that hardly vary; one that never does has no variance
    # to be wrong about.
    factor = np.exp(np.abs(np.log((bn.running_var + bn.eps) / (var + bn.eps))))
    factor[var == 0] = 1.0
    middle = float(np.median(off)), float(np.median(factor))
    largest = factor.max()
    if largest > ONE_VAR_OFF:  # where it is known from more than a few images
        largest = factor[~_nearly_constant(wide)].max(initial=1.0)
    if (
        middle[0] > MEAN_OFF
        or middle[1] > VAR_OFF
        or off.max() > ONE_MEAN_OFF
        or largest > ONE_VAR_OFF
    ):
        worst = float(off.max()), float(factor.max())
        yield Finding(
            "averages-lag",
            name,
            middle[0],
            f"The running means are {middle[0]:.2g} standard deviations from the training set's "
            f"(median; the worst {worst[0]:.2g}), the running variances a factor "
            f"{middle[1]:.2g} (worst {worst[1]:.2g}).",
            "Collect them again with bnlib.population_statistics(net, data); then look for the "
            "cause: too few steps, a momentum that is too small, weights without their buffers, "
            "training data that evaluation does not see.",
        )


def _eps(name, bn, x, var, ruled):
    constant = int((_nearly_constant(x) & ruled).sum())
    text = (
        f"{ruled.sum()} of {len(var)} channels have a variance below {EPS_RULES:g} eps "
        f"(the smallest is {var.min():.2g}, eps {bn.eps:.2g}): they come out too small."
    )
    advice = "Use a smaller eps, or find out why these channels hardly vary."
    if constant:
        text += (
            f" {constant} of them {'is' if constant == 1 else 'are'} (nearly) constant: the same "
            f"number in {NEARLY_ALL:.0%} of the places or more."
        )
        advice = (
            "No eps helps a channel that is constant: is the unit in front of it dead, or always 0 "
            "where the images are empty? A smaller rate keeps units alive."
        )
        if constant < ruled.sum():
            advice += " For the others, use a smaller eps."
    return Finding("eps-rules", name, float(var.min()), text, advice)


def _nearly_constant(x):
    """For each channel: is it the same number nearly everywhere?"""
    axes = (0, *range(2, x.ndim))
    return (x == np.median(x, axes, keepdims=True)).mean(axes) > NEARLY_ALL


def _trained(bn):
    """Do its betas look like those of a trained layer, whatever it has tracked?

    Training moves each of them by another amount; what is set by hand is the same number for many.
    So weights that came without their buffers are told from a layer that is new.
    """
    return len(np.unique(bn.beta)) > max(1, len(bn.beta) / 2)


def _dead(name, bn, behind, seen):
    dropped = False
    for layer in behind:
        if not isinstance(layer, MaxPool2d | Flatten | Dropout):
            break
        dropped |= isinstance(layer, Dropout)
    if not behind or not isinstance(layer, Activation):
        return
    z = seen[layer].reshape(len(seen[layer]), len(bn.gamma), -1)  # undoes a Flatten
    back = np.sign(z) * BEYOND * z.std((0, 2), keepdims=True)
    silent = layer.saturated(z) & layer.saturated(z - back)
    if dropped:
        silent |= z == 0  # was dropped, and says nothing
    dead = silent.all((0, 2))
    dead &= np.abs(bn.gamma) >= SMALL_GAMMA  # the others have their finding
    if dead.any():
        yield Finding(
            "dead-channels",
            name,
            int(dead.sum()),
            f"{dead.sum()} of {dead.size} channels reach the {type(layer).__name__} where it "
            f"passes no gradient, for each of {len(z)} images.",
            "Look at gamma and beta of these channels; a smaller rate keeps channels alive.",
        )
