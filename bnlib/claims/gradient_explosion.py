"""How fast gradients grow with depth at initialisation, beside the theory."""

import math

import numpy as np

from bnlib.claims.engine import NOT_HERE, PARTLY, REPRODUCES, Claim, Row
from bnlib.functional import batch_norm, batch_norm_backward

BATCHES = (8, 32, 128)  # of the linear network; the ReLU network has the largest
WIDTH = 1000
DEPTH = 36
STEADY = 20  # layers from below until what ReLUs make of a batch is what they make of the next
NETWORKS = {"full": 3, "notebook": 1}  # a seed
NEAR = 2.0  # percent of the theory
THEORY = {  # factor a layer of the squared length, for infinite width (and batch, for ReLU)
    **{("linear", n): (n - 2) / (n - 3) for n in BATCHES},
    ("relu", BATCHES[-1]): math.pi / (math.pi - 1),
}


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
    for kind, n in THEORY:
        each = [growth(kind, n, (seed, i)) for i in range(NETWORKS[size])]
        row[f"{kind}, {n}"] = math.exp(np.mean(np.log(each)))
    return row


def deviations(row: Row) -> dict[str, float]:
    """Percent by which each factor is larger than the theory's."""
    return {
        f"{kind}, {n}": 100 * (row[f"{kind}, {n}"] / factor - 1)
        for (kind, n), factor in THEORY.items()
    }


def rule(found: dict) -> str:
    near = [part.same for name, part in found.items() if name != "largest"]
    return REPRODUCES if all(near) else PARTLY if any(near) else NOT_HERE


CLAIM = Claim(
    id="gradient_explosion",
    sentence="At initialisation BN makes gradients grow exponentially with depth.",
    source="Yang et al. 2019, section 3",
    paper="Infinitely wide networks; the rates (B - 2) / (B - 3) for linear layers and "
    "pi / (pi - 1) for ReLUs in large batches are recomputed here.",
    experiment=experiment,
    parts={"largest": lambda row: max(map(abs, deviations(row).values()))}
    | {
        f"deviation, {kind}, {n}": lambda row, name=f"{kind}, {n}": deviations(row)[name]
        for kind, n in THEORY
    },
    rule=rule,
    says="Growth of the squared length a layer: "
    + "; ".join(
        f"{kind} layers, batch {n}: [{kind}, {n}], theory {factor:.3f}"
        for (kind, n), factor in THEORY.items()
    )
    + ".",
    criterion="Reproduces if the measured factor, with two standard errors, lies within 2 % of the "
    f"theory for linear layers at batches of {', '.join(map(str, BATCHES))} and for ReLUs at "
    f"{BATCHES[-1]}; partly if only for some. Width {WIDTH}, {DEPTH} layers, of which the first "
    f"{STEADY} are left out; eps = 0.",
    conclude="BN does not keep gradients from exploding, it makes them explode: at initialisation, "
    "without residual connections, in ten layers of ReLUs by a factor of about 46 in the squared "
    f"length. In linear layers with large batches the growth is small; at a batch of {BATCHES[-1]} "
    "it is within 2 % of the factor, but three times the theory's growth.",
    unit="% from the theory, the largest",
    worth=NEAR,
)
