"""Half of the mistake: the backward without the path through the variance."""

from bnlib.claims.engine import Claim, Row, minus
from bnlib.claims.wrong_backward import STEPS, percent

ACTIVATIONS = ("sigmoid", "relu")
RATES = {"usual": 0.3, "large": 3.0}
PLACES = [(activation, name) for activation in ACTIVATIONS for name in RATES]


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent of the right backward and of the one without that path."""
    return {
        f"{activation}, {kind}, {name}": percent(kind, activation, RATES[name], seed, size)
        for activation, name in PLACES
        for kind in ("right", "variance")
    }


CLAIM = Claim(
    id="missing_variance_path",
    sentence="Leaving out only the path through the variance costs accuracy as well.",
    source="Measured here; the mistake is known from several public trackers",
    paper="Not measured.",
    experiment=experiment,
    parts={
        f"{a}, {name}": minus(f"{a}, right, {name}", f"{a}, variance, {name}") for a, name in PLACES
    },
    says=f"Test accuracy after {STEPS['full']} steps. "
    + "; ".join(
        f"{a}, rate {RATES[name]:g}: [{a}, variance, {name}] % without the path, "
        f"[{a}, right, {name}] % with it, a cost of [{a}, {name}]"
        for a, name in PLACES
    )
    + ".",
    criterion="Reproduces if the right backward is ahead by more than the size worth having in "
    f"sigmoid and in ReLU networks, at a usual rate ({RATES['usual']:g}) and at a large one "
    f"({RATES['large']:g}); partly if only in some of the four.",
    conclude="At usual rates this mistake hides from every curve, and only a gradient check finds "
    "it. That the path does not matter does not follow: look at the large rate, which is what BN "
    "is used for.",
    effect_of=["relu, usual"],
    unit="points, ReLUs, usual rate",
    worth=1.0,  # points of accuracy
    seeds=20,
)
