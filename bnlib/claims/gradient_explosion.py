"""How fast gradients grow with depth at initialisation, beside the theory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import (
    NOT_HERE,
    PARTLY,
    REPRODUCES,
    Row,
    Verdict,
    column,
    mean_error,
    shown,
)
from bnlib.functional import batch_norm, batch_norm_backward

BATCHES = (8, 32, 128)  # of the linear network; the ReLU network has the largest
WIDTH = 1000
DEPTH = 36
STEADY = 20  # layers from below until what ReLUs make of a batch is what they make of the next
NETWORKS = {"full": 3, "notebook": 1}  # a seed
NEAR = 0.02  # of the theory


def theory(kind: str, batch: int) -> float:
    """The factor a layer of the squared length, for infinite width (and batch, for ReLU)."""
    return (batch - 2) / (batch - 3) if kind == "linear" else math.pi / (math.pi - 1)


CASES = [("linear", n) for n in BATCHES] + [("relu", BATCHES[-1])]


def growth(kind: str, batch: int, seed: tuple[int, int]) -> float:
    """The factor a layer by which a random gradient's squared length grows on its way back."""
    rng = np.random.default_rng(seed)
    h, layers = rng.standard_normal((batch, WIDTH), np.float32), []
    gamma, beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    for _ in range(DEPTH):
        weights = rng.standard_normal((WIDTH, WIDTH), np.float32) / np.float32(WIDTH**0.5)
        z, cache = batch_norm(h @ weights, gamma, beta, eps=0.0)
        h = z if kind == "linear" else np.maximum(z, 0)
        layers.append((weights, cache, z))
    g = rng.standard_normal(h.shape, np.float32)
    squares = []
    for weights, cache, z in reversed(layers):
        if kind == "relu":
            g = g * (z > 0)
        g = batch_norm_backward(g, cache)[0]
        squares.append(float((g * g).sum()))
        g = g @ weights.T
    steady = squares[3 : DEPTH - STEADY]  # the first three: the random gradient settles too
    return (steady[-1] / steady[0]) ** (1 / (len(steady) - 1))


def experiment(seed: int, size: str) -> Row:
    """The factor a layer, the geometric mean of some networks."""
    row = {}
    for kind, n in CASES:
        each = [growth(kind, n, (seed, i)) for i in range(NETWORKS[size])]
        row[f"{kind}, {n}"] = math.exp(np.mean(np.log(each)))
    return row


def effect(row: Row) -> float:
    """The largest deviation from the theory, in percent."""
    return max(abs(100 * (row[f"{kind}, {n}"] / theory(kind, n) - 1)) for kind, n in CASES)


def judge(rows: Sequence[Row]) -> Verdict:
    near, parts = [], []
    for kind, n in CASES:
        name, expected = f"{kind}, {n}", theory(kind, n)
        mean, error = mean_error(column(rows, name))
        near.append(abs(mean / expected - 1) + 2 * error / expected < NEAR)
        parts.append(f"{kind} layers, batch {n}: {shown(rows, name)}, theory {expected:.3f}")
    sentence = "Growth of the squared length a layer: " + "; ".join(parts) + "."
    return Verdict(REPRODUCES if all(near) else PARTLY if any(near) else NOT_HERE, sentence)


CLAIM = Claim(
    id="gradient_explosion",
    sentence="At initialisation BN makes gradients grow exponentially with depth.",
    source="Yang et al. 2019, section 3",
    paper="Infinitely wide networks; the rates (B - 2) / (B - 3) for linear layers and "
    "pi / (pi - 1) for ReLUs in large batches are recomputed here.",
    experiment=experiment,
    judge=judge,
    criterion=(
        "Reproduces if the measured factor, with two standard errors, lies within 2 % of the "
        f"theory for linear layers at batches of {', '.join(map(str, BATCHES))} and for ReLUs at "
        f"{BATCHES[-1]}; partly if only for some. Width {WIDTH}, {DEPTH} layers, of which "
        f"the first {STEADY} are left out; eps = 0."
    ),
    conclude=(
        "BN does not keep gradients from exploding, it makes them explode: at initialisation, "
        "without residual connections, in ten layers of ReLUs by a factor of about 46 in the "
        "squared length. In linear layers with large batches the growth is small; at a batch of "
        f"{BATCHES[-1]} it is within 2 % of the factor, but three times the theory's growth."
    ),
    effect=effect,
    unit="% from the theory, the largest",
    worth=100 * NEAR,
)
