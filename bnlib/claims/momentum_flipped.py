"""Momentum 0.9 where 0.1 is meant: what it costs, with small and with larger batches."""

import copy

from bnlib.claims.engine import Claim, Row, gains, side_by_side
from bnlib.claims.engine.experiments import THREE, batch_norms, mlp32, mnist, percent_right
from bnlib.training import Trainer

STEPS = {"full": 1000, "notebook": 200}
PLACES = {"4": "batches of 4", "64": "batches of 64"}
RATE = 0.05
LAST = 50  # steps in which the averages forget where they started, at either momentum


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with both momenta, of the same training: it never reads them."""
    data, row = mnist(pool=True), {}
    for batch in map(int, PLACES):
        net = mlp32(THREE, "batch", seed=seed)
        Trainer(net, data, RATE, batch, seed).advance(STEPS[size] - LAST)
        for momentum in (0.1, 0.9):
            twin = copy.deepcopy(net)
            for layer in batch_norms(twin):
                layer.momentum = momentum
            Trainer(twin, data, RATE, batch, seed + 1).advance(LAST)
            row[f"{momentum}, {batch}"] = percent_right(twin, data, 5000)
    return row


CLAIM = Claim(
    id="momentum_flipped",
    sentence="Momentum 0.9 where 0.1 is meant costs accuracy at test time.",
    source="d2l-ai/d2l-en pull request 2213, on the meaning of momentum; measured here",
    paper="No figure: libraries give the name momentum to opposite weights.",
    experiment=experiment,
    parts=gains("0.1", "0.9", PLACES),
    says=f"Test accuracy at momentum 0.1 | 0.9: {side_by_side('0.1', '0.9', PLACES)}.",
    criterion="Reproduces if 0.9 costs more than the size worth having with batches of 4 and of "
    "64; partly if with one of them; not at this scale if neither can cost so much.",
    conclude="At 0.9 the running averages are little more than the last batch, so the cost is that "
    "of a batch's noise: it depends on the batch size, and training shows nothing of it.",
    unit="points, batches of 4",
    worth=1.0,  # points of accuracy
)
