"""A wrong backward pass, statistics taken for constants, where nothing is learned without BN."""

from bnlib.claims.engine import Claim, Row, minus, overall
from bnlib.claims.engine.altered import ConstantStatistics, ConstantVariance, with_norm
from bnlib.claims.engine.experiments import THREE, mlp32, mnist, trained_percent
from bnlib.norms import BatchNorm

STEPS = {"full": 300, "notebook": 100}
RATE = 0.3
KINDS = {
    "none": None,
    "right": BatchNorm,
    "constants": ConstantStatistics,
    "variance": ConstantVariance,
}


def percent(kind: str, activation: str, lr: float, seed: int, size: str) -> float:
    """Test accuracy in percent after training with the backward ``kind``."""
    norm = KINDS[kind]
    net = mlp32(THREE, norm and "batch", activation, seed=seed)
    net = with_norm(net, norm) if norm else net
    return trained_percent(net, mnist(pool=True), STEPS[size], lr, seed, count=5000)


def experiment(seed: int, size: str) -> Row:
    return {
        kind: percent(kind, "sigmoid", RATE, seed, size) for kind in ("none", "right", "constants")
    }


CLAIM = Claim(
    id="wrong_backward",
    sentence="A BN whose backward is wrong can still train a network that does not learn without.",
    source="Measured here; the mistake is known from several public trackers",
    paper="Ioffe & Szegedy 2015, section 2, expect that parameters grow without effect if the "
    "gradient ignores the normalization.",
    experiment=experiment,
    parts={"gain": minus("constants", "none"), "cost": minus("right", "constants")},
    rule=lambda found: overall(found["gain"], also=found["cost"].mean < found["gain"].mean / 2),
    says=f"Test accuracy after {STEPS['full']} steps at rate {RATE:g}: [none] % without BN, "
    "[constants] % with a wrong backward, [right] % with the right one. The mistake costs [cost] "
    "points.",
    criterion="The wrong backward takes mean and variance for constants; three hidden layers of "
    f"sigmoids at rate {RATE:g}. Partly if it gains more than the size worth having over no BN; "
    "reproduces if, in addition, that is more than twice what the mistake costs against the right "
    "backward.",
    conclude="A falling loss does not show that a backward pass is right: compare with numerical "
    "gradients. At other rates and with ReLUs the mistake costs more (wrong_backward_cost).",
    unit="points over no BN",
    worth=10.0,  # points of accuracy
)
