"""The rank of what a deep linear network makes of a batch, at initialisation."""

import numpy as np

from bnlib.claims.engine import Claim, Row, minus

DEPTH = {"full": 200, "notebook": 40}
WIDTH = 64


def effective_rank(h: np.ndarray) -> float:
    """(sum of squared singular values)^2 / sum of their squares: how many directions h uses."""
    values = np.linalg.svd(h, compute_uv=False) ** 2
    return float(values.sum() ** 2 / (values**2).sum())


def experiment(seed: int, size: str) -> Row:
    """The effective rank of (64 examples, 64 units) behind the last layer."""
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((WIDTH, WIDTH))
    states = {"without": start, "with": start}
    for _ in range(DEPTH[size]):
        weights = rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)
        for arm, h in states.items():
            h = h @ weights
            if arm == "with":
                h = (h - h.mean(axis=0)) / h.std(axis=0)
            states[arm] = h
    return {arm: effective_rank(h) for arm, h in states.items()}


CLAIM = Claim(
    id="rank_collapse",
    sentence="In deep linear networks at initialisation BN keeps the examples apart.",
    source="Daneshmand et al. 2020, section 3",
    paper="Without BN the rank falls to 1 with depth; with it, it stays of the order of the root "
    "of the width.",
    experiment=experiment,
    parts={"gain": minus("with", "without")},
    says=f"Effective rank of 64 examples behind {DEPTH['full']} linear layers of {WIDTH}: without "
    "BN [without], with it [with] ([gain]).",
    criterion="Reproduces if the effective rank is higher with BN by more than the size worth "
    "having. Gaussian weights and inputs, 64 examples.",
    conclude="Without BN all examples end on one line, so the last layer sees one number of each. "
    "At initialisation, for linear layers; what training makes of it is another question.",
    unit="dimensions",
    worth=2.0,  # dimensions
)
