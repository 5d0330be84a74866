"""Thousands of odd calls of the core, from a seed: none may end in a wrong number or in silence.

Each call has shapes, types, memory layouts and values that a student may come up with, right ones
among them, and the layers are called in any order. Whatever happens, it is one of two things:

- a result, equal to a plain formula in extended precision, and finite if the arguments were;
- an error in bnlib's own words, and everything is as it was before the call.

A message from inside NumPy or Python is allowed for one call in a hundred. More calls:

    BNLIB_ODD_CALLS=14000 pytest tests/test_odd_calls.py
"""

import ast
import collections
import functools
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import LAYERS, Kind, convolution_of, per_channel

import bnlib
from bnlib import functional as F

CALLS = int(os.environ.get("BNLIB_ODD_CALLS", "2500"))
PACKAGE = Path(bnlib.__file__).parent
WIDE = np.longdouble


# -- Odd arguments --------------------------------------------------------------------------------


def odd_shape(rng, shape):
    """Mostly the shape itself; else axes swapped, added, missing, empty or one too long."""
    if rng.random() < 0.92:
        return tuple(shape)
    kind = rng.integers(7)
    if kind < 4 or not shape:
        return [tuple(shape)[::-1], (1, *shape), (*shape, 1), tuple(shape)[1:]][kind % 4]
    changed = list(shape)
    i = rng.integers(len(shape))
    changed[i] = {4: 0, 5: 1, 6: changed[i] + 1}[kind]
    return tuple(changed)


def odd_values(rng, shape):
    """float64 numbers: ordinary ones in two cases of three."""
    x = rng.standard_normal(shape)
    kind = rng.integers(24)
    scaled = {0: 1e200, 1: 1e-200, 2: 1e30, 3: 0.0, 4: 1e-30}
    if kind in scaled:
        return x * scaled[kind]
    if kind == 5:
        return x + 1e4
    if kind == 6:
        return np.full(shape, 0.1)
    if kind == 7 and x.size:
        x.flat[rng.integers(x.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e300])
    return x


def odd_layout(rng, x):
    """The same numbers, laid out in memory in another way or as another kind of object."""
    kind = rng.integers(16)
    if kind == 0:
        return np.asfortranarray(x)
    if kind == 1 and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if kind == 2 and x.ndim:
        return x[::-1][::-1]
    if kind == 3 and x.ndim > 1:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
    if kind == 4 and x.ndim > 1:
        return np.broadcast_to(x[:1], x.shape)
    if kind == 5:
        x = np.array(x)
        x.flags.writeable = False
    return x


def odd_array(rng, shape, dtype=np.float64):
    x = odd_values(rng, odd_shape(rng, shape))
    with np.errstate(all="ignore"):
        other = [np.float32, np.float64, int, bool, complex, np.float16, object, ">f8", "U8"]
        wanted = dtype if rng.random() < 0.93 else other[rng.integers(len(other))]
        if np.dtype(wanted).kind == "i":
            x = np.nan_to_num(x).clip(-9, 9)
        x = x.astype(wanted)
    if rng.random() < 0.02:
        listed = np.ones(x.shape).tolist()  # finite: is_finite looks at arrays only
        strange = [None, 3.0, "abc", listed, np.ma.masked_array(x), [[1.0], [2.0, 3.0]]]
        return strange[rng.integers(len(strange))]
    return odd_layout(rng, x)


def odd_number(rng, usual):
    if rng.random() < 0.8:
        return usual
    odd = [0, -1, 1.5, np.nan, np.inf, 1e-50, None, "0.1", [1], 1j, True, np.float32(0.1)]
    return odd[rng.integers(len(odd))]


# -- Plain formulas -------------------------------------------------------------------------------


def agree(actual, expected, error):
    """No element is further from the expected one than ``error``, nor than float can hold."""
    if actual.shape != expected.shape:
        return False
    tiny = np.finfo(actual.dtype).tiny * 1e3
    return bool((np.abs(actual.astype(WIDE) - expected) <= error + tiny).all())


def kind_of(layer):
    """How cases.py describes the function of a normalization layer in training mode."""
    name = type(layer).__name__.replace("Norm", "_norm").lower()
    return Kind(name, getattr(layer, "num_groups", None), np.ndim(layer.gamma))


def check_norm(kind, x, gamma, beta, eps, y, dy=None, gradients=None):
    """Are y, and the gradients for dy if there are some, those of the slow reference?"""
    eps = np.finfo(x.dtype).eps if eps is None else eps
    gamma, beta = np.asarray(gamma, WIDE), np.asarray(beta if kind.has_mean else 0, WIDE)
    upstream = np.zeros(x.shape) if dy is None else np.asarray(dy, x.dtype)
    expected, _, *wanted = kind.reference(x, gamma, beta, eps, upstream)
    group, wide = kind.labels(x.shape)[0], x.astype(WIDE)
    std, shift = np.empty(x.shape, WIDE), np.empty(x.shape, WIDE)
    for k in range(group.max() + 1):
        values, mine = wide[group == k], group == k
        std[mine] = np.sqrt((values.var() if kind.has_mean else (values**2).mean()) + WIDE(eps))
        shift[mine] = np.abs(values.mean()) / std[mine]
    unit = 64 * np.finfo(x.dtype).eps * np.sqrt(x.size)
    error = unit * (np.abs(gamma).max() * (np.sqrt(WIDE(x.size)) + shift) + np.abs(beta).max())
    if not agree(y, expected, error):
        return False
    largest = np.abs(upstream).max(initial=0)
    if gradients is None or not (largest < 1e20 and std.min() > 1e-20):
        return True  # dx may be out of float's range
    error = unit * x.size * largest * (1 + shift.max()) * (1 + np.abs(wide).max() / std.min())
    return agree(gradients[0], wanted[0], error * (1 + np.abs(gamma).max() / std.min())) and all(
        agree(g, w, error * x.size) for g, w in zip(gradients[1:], wanted[1:])
    )


def expected_of(layer, x):
    """The layer's output by a plain formula, and what its rounding errors are measured by."""
    wide = x.astype(WIDE)
    if isinstance(layer, bnlib.Dense):
        size = np.abs(wide) @ np.abs(layer.weight) + np.abs(layer.bias)
        return np.einsum("ni,io->no", wide, layer.weight.astype(WIDE)) + layer.bias, size
    if isinstance(layer, bnlib.ReLU):
        return np.where(wide > 0, wide, 0), 0
    if isinstance(layer, bnlib.Sigmoid):
        return 1 / (1 + np.exp(-wide)), 1
    if isinstance(layer, bnlib.Tanh):
        return np.tanh(wide), 1
    if isinstance(layer, bnlib.Conv2d):
        settings = layer.stride, layer.padding
        size = convolution_of(np.abs(x), np.abs(layer.weight), np.abs(layer.bias), *settings)
        return convolution_of(x, layer.weight, layer.bias, *settings), size
    if isinstance(layer, bnlib.MaxPool2d):
        windows = np.lib.stride_tricks.sliding_window_view(wide, (2, 2), axis=(2, 3))
        return windows[:, :, ::2, ::2].max(axis=(4, 5)), 0
    if isinstance(layer, bnlib.Dropout):
        kept = 1 if not layer.training else (layer._cache[0] != 0) / (1 - WIDE(layer.p))
        return wide * kept, np.abs(wide)
    if isinstance(layer, bnlib.Residual):
        return wide + np.tanh(wide), 1 + np.abs(wide)
    if isinstance(layer, bnlib.Flatten):
        return wide.reshape(len(x), -1), 0
    mean, inv_std = layer.running_mean, 1 / np.sqrt(layer.running_var.astype(WIDE) + layer.eps)
    slope = per_channel(layer.gamma * inv_std, x)
    beta = per_channel(layer.beta, x)
    size = np.abs(slope) * (np.abs(wide) + per_channel(np.abs(mean), x)) + np.abs(beta)
    return (wide - per_channel(mean, x)) * slope + beta, size


# -- One call and its verdict ---------------------------------------------------------------------


@functools.cache
def raise_lines(filename):
    """The lines of a file that belong to a raise statement."""
    tree = ast.parse(Path(filename).read_text())
    spans = [range(n.lineno, n.end_lineno + 1) for n in ast.walk(tree) if isinstance(n, ast.Raise)]
    return {line for span in spans for line in span}


def is_bare(error):
    """Was it raised by NumPy or Python, not by one of bnlib's own raise statements?"""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    filename = frame.tb_frame.f_code.co_filename
    return PACKAGE not in Path(filename).parents or frame.tb_lineno not in raise_lines(filename)


def arrays_in(thing):
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, dict):
        thing = tuple(thing.values())
    return [a for part in thing for a in arrays_in(part)] if isinstance(thing, tuple) else []


def is_finite(thing):
    return all(a.dtype.kind not in "fc" or np.isfinite(a).all() for a in arrays_in(thing))


def fingerprint(thing):
    """The bytes of all arrays, and modes and counters of all layers."""
    if isinstance(thing, bnlib.Sequential):
        thing = tuple(thing.layers)
    if isinstance(thing, (tuple, list)):
        return [fingerprint(part) for part in thing]
    if isinstance(thing, bnlib.layers.Layer):
        arrays = thing.params | thing.grads | thing.buffers
        return [thing.training, getattr(thing, "momentum", 0), fingerprint(tuple(arrays.values()))]
    return thing.tobytes() if isinstance(thing, np.ndarray) else repr(thing)


class Log:
    """What came of all calls."""

    def __init__(self):
        self.calls, self.outcomes = 0, collections.Counter()
        self.wrong, self.bare = [], []  # what must not be, and what may be rarely

    def call(self, name, function, arguments, owner=None, check=None, finite=True):
        """Make a call, judge it, and return its result, or None if it raised.

        ``check`` says whether a result is right; ``finite``, whether the call before got numbers.
        """
        self.calls += 1
        about = f"call {self.calls}, {name}: {[describe(a) for a in arguments]}"
        before, given = fingerprint(owner), fingerprint(arguments)
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
            warnings.simplefilter("always")
            try:
                result = function(*arguments)
            except Exception as error:
                self.expect(fingerprint(owner) == before, f"{about} raised and changed its owner")
                self.expect(fingerprint(arguments) == given, f"{about} raised, changed arguments")
                self.outcomes[name, type(error).__name__] += 1
                if is_bare(error):
                    self.bare.append(f"{about}\n    {type(error).__name__}: {error}")
                return None
        self.expect(fingerprint(arguments) == given, f"{about} changed an argument")
        self.outcomes[name, "result"] += 1
        finite = finite and is_finite(tuple(arguments))
        if finite and not caught:
            self.expect(is_finite(result), f"{about} gave NaN or infinity in silence")
        if check and finite and is_finite(result):
            with np.errstate(all="ignore"):
                self.expect(check(result), f"{about} gave a wrong number")
        return result

    def expect(self, right, what):
        if not right:
            self.wrong.append(what)


def describe(a):
    if not isinstance(a, np.ndarray):
        return f"{a!r:.60}"
    size = f", up to {np.abs(a).max():.3g}" if a.size and a.dtype.kind == "f" else ""
    return f"{type(a).__name__} {a.shape} {a.dtype} strides {a.strides}{size}"


# -- The calls ------------------------------------------------------------------------------------


def call_norm(log, kind, x, dy, gamma, beta, eps):
    """A function of bnlib.functional, and its backward pass."""
    vectors = [gamma, beta] if kind.has_mean else [gamma]
    number = [kind.groups] if kind.name == "group_norm" else []
    name = "batch_norm" if kind.of_batch else "relative"
    result = log.call(
        name,
        getattr(F, kind.name),
        (x, *number, *vectors, eps),
        check=lambda result: check_norm(kind, x, gamma, beta, eps, result[0]),
    )
    if result is not None:
        y, cache = result
        log.call(
            f"{name}_backward",
            getattr(F, f"{kind.name}_backward"),
            (dy, cache),
            check=lambda found: check_norm(kind, x, gamma, beta, eps, y, dy, found),
        )


def call_functions(rng, log):
    dtype = [np.float64, np.float32][rng.integers(2)]
    c = int(rng.integers(1, 5))
    shape = (int(rng.integers(1, 6)), c, *rng.integers(1, 4, int(rng.integers(0, 3))).tolist())
    x, dy = odd_array(rng, shape, dtype), odd_array(rng, shape, dtype)
    gamma, beta, mean, var = (odd_array(rng, (c,)) for _ in range(4))
    if isinstance(var, np.ndarray) and var.dtype.kind == "f" and rng.random() < 0.8:
        var = np.abs(var)
    eps = odd_number(rng, [1e-5, 0.1, 0][rng.integers(3)])
    call_norm(log, Kind("batch_norm"), x, dy, gamma, beta, eps)
    name = ["layer_norm", "rms_norm", "group_norm", "instance_norm"][rng.integers(4)]
    if name in ("layer_norm", "rms_norm"):
        size = np.shape(x)[-1:] if isinstance(x, np.ndarray) else (2,)
        of_axis = odd_array(rng, size), odd_array(rng, size)
        axes = getattr(of_axis[0], "ndim", 1)
        call_norm(log, Kind(name, axes=axes), x, dy, *of_axis, eps)
    else:
        groups = odd_number(rng, int(rng.integers(1, 3))) if name == "group_norm" else None
        call_norm(log, Kind(name, groups), x, dy, gamma, beta, eps)

    def check_affine(y):
        layer = bnlib.BatchNorm(c, eps=float(eps))
        for name, v in zip(
            ("gamma", "beta", "running_mean", "running_var"), (gamma, beta, mean, var)
        ):
            getattr(layer, name)[...] = v
        expected, size = expected_of(layer, x)
        return agree(y, expected, 16 * np.finfo(x.dtype).eps * size)

    log.call(
        "batch_norm_inference",
        F.batch_norm_inference,
        (x, gamma, beta, mean, var, eps),
        check=check_affine,
    )
    log.call(
        "batch_norm_inference_backward",
        F.batch_norm_inference_backward,
        (dy, x, gamma, mean, var, eps),
        check=lambda gradients: gradients[0].shape == x.shape,
    )


NETWORK = lambda dtype: bnlib.mlp([3, 4, 4, 2], "batch", "tanh", dtype=dtype), (5, 3), (5, 2)
ALL_LAYERS = LAYERS | {"network": NETWORK}


def call_layer(rng, log):
    """forward, backward, load_state_dict, train and eval in any order."""
    dtype = [np.float64, np.float32][rng.integers(2)]
    kind = list(ALL_LAYERS)[rng.integers(len(ALL_LAYERS))]
    make, x_shape, dy_shape = ALL_LAYERS[kind]
    layer, finite = make(dtype), True
    for _ in range(int(rng.integers(2, 6))):
        action = rng.choice(["forward", "forward", "backward", "train", "eval", "load"])
        if action == "forward":
            x = odd_array(rng, x_shape, dtype)
            y = log.call(
                f"{kind}.forward",
                layer.forward,
                (x,),
                owner=layer,
                check=lambda y, x=x: check_layer(layer, x, y),
            )
            finite = finite if y is None else is_finite(y)
        elif action == "backward":
            dy = odd_array(rng, dy_shape, dtype)
            # After an error the gradients of a whole network are 0: no state, its result.
            owner = tuple(layer.state_dict().values()) if kind == "network" else layer
            log.call(f"{kind}.backward", layer.backward, (dy,), owner=owner, finite=finite)
        elif action == "load":
            state = layer.state_dict()
            for name in list(state):
                if rng.random() < 0.15:
                    state[name] = odd_array(rng, state[name].shape, dtype)
                if rng.random() < 0.03:
                    state[f"{name}x"] = state.pop(name)
            log.call(f"{kind}.load_state_dict", layer.load_state_dict, (state,), owner=layer)
            values = tuple(layer.state_dict().values())
            log.expect(is_finite(values), f"call {log.calls}: {kind} has loaded NaN")
        else:
            getattr(layer, action)()


def check_layer(layer, x, y):
    if isinstance(layer, bnlib.Sequential):
        return y.shape == (len(x), 2)
    if type(layer) is bnlib.BatchRenorm and layer.training:  # test_norms.py has its paper
        return y.shape == x.shape
    if isinstance(layer, bnlib.norms.Normalization) and (layer.training or not layer.buffers):
        vectors = layer.gamma, layer.beta, layer.eps
        if type(layer) is not bnlib.GhostNorm:
            return check_norm(kind_of(layer), x, *vectors, y)
        parts = zip(*(np.array_split(a, max(1, len(x) // 2)) for a in (x, y)))
        return all(check_norm(Kind("batch_norm"), part, *vectors, of) for part, of in parts)
    expected, size = expected_of(layer, x)
    return agree(y, expected, 32 * np.finfo(x.dtype).eps * size)


def call_others(rng, log):
    n, k = (int(v) for v in rng.integers(1, 5, 2))
    logits, labels = odd_array(rng, (n, k)), rng.integers(0, k, n)
    if rng.random() < 0.3:
        labels = odd_array(rng, (n,), [int, bool, np.float64][rng.integers(3)])

    def check_loss(result):
        wide = logits.astype(WIDE)
        wide = wide - wide.max(axis=1, keepdims=True)
        losses = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(len(wide)), labels]
        size = 1 + np.abs(wide).max()
        return abs(result[0] - losses.mean()) <= 64 * np.finfo(logits.dtype).eps * size

    log.call(
        "softmax_cross_entropy", bnlib.softmax_cross_entropy, (logits, labels), None, check_loss
    )
    number = functools.partial(odd_number, rng)
    net = bnlib.mlp([3, 4, 2], "batch")
    constructors = [
        (bnlib.Dense, number(3), number(2), True),
        (bnlib.BatchNorm, number(3), number(1e-5), number(0.1)),
        (bnlib.LayerNorm, number(3), number(1e-5)),
        (bnlib.RMSNorm, number((3, 2)), number(None)),
        (bnlib.GroupNorm, number(2), number(4), number(1e-5)),
        (bnlib.InstanceNorm, number(3), number(1e-5)),
        (bnlib.GhostNorm, number(3), number(2), number(1e-5), number(0.1)),
        (bnlib.BatchRenorm, number(3), number(2.0), number(1.0), number(9), number(1e-5)),
        (bnlib.Dropout, number(0.2), number(0)),
        (bnlib.Residual, [net.layers[rng.integers(4)], number(bnlib.ReLU())]),
        (bnlib.Conv2d, number(2), number(3), number(3), number(1), number(0)),
        (bnlib.MaxPool2d, number(2), number(None)),
        (bnlib.SGD, net, number(0.1), number(0.9), number(0.01)),
        (bnlib.mlp, [number(3), number(2), 2], number(None), "relu", number(None), number(0)),
        (bnlib.mlp, number([3, 2]), "batch", number("relu"), number(1.0)),
        (bnlib.cnn, [1, number(2)], "batch", "relu", number(4), number(3), number(1.0)),
        (bnlib.Sequential, [net.layers[rng.integers(4)], bnlib.ReLU(), number(bnlib.ReLU())]),
    ]
    make, *arguments = constructors[rng.integers(len(constructors))]
    made = log.call(make.__name__, make, tuple(arguments))
    state = made.state_dict() if hasattr(made, "state_dict") else {}
    log.expect(is_finite(state), f"call {log.calls}: {make.__name__} starts with NaN")
    net.layers[1].running_var[...] = rng.choice([1.0, 0.0, -1.0, np.nan, np.inf], 4)
    folded = log.call("fold_batchnorm", bnlib.fold_batchnorm, (net,), owner=net)
    log.expect(folded is None or is_finite(folded.params), "fold_batchnorm gave NaN")


@pytest.fixture(scope="module")
def log():
    """The log of all calls."""
    rng, log = np.random.default_rng(20150211), Log()
    while log.calls < CALLS:
        [call_functions, call_layer, call_others][rng.integers(3)](rng, log)
    return log


def test_odd_calls_end_in_a_right_number_or_in_an_error(log):
    assert log.calls >= CALLS
    assert not log.wrong, f"{len(log.wrong)} of {log.calls} calls:\n" + "\n".join(log.wrong[:20])


def test_errors_are_in_words(log):
    shown = "\n".join(log.bare[:20])
    assert len(log.bare) <= 0.01 * log.calls, f"{len(log.bare)} of {log.calls} calls:\n{shown}"


def test_every_kind_of_call_both_succeeded_and_failed(log):
    """Otherwise the generator has gone one-sided, and the tests above say little."""
    results, errors = collections.Counter(), collections.Counter()
    for (name, outcome), count in log.outcomes.items():
        counter = results if outcome == "result" else errors
        counter[name.split(".")[-1]] += count
    assert {"forward", "backward", "load_state_dict", "batch_norm", "mlp", "SGD"} <= set(results)
    assert set(results) == set(errors)
    assert sum(results.values()) > 0.4 * log.calls < 2 * sum(errors.values())
