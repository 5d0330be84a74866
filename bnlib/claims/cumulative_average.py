"""momentum=None, the plain average of all batches, as a cure for the lag."""

from bnlib.claims.averages_lag import LOOKS, experiment
from bnlib.claims.engine import Claim, gains, overall

CLAIM = Claim(
    id="cumulative_average",
    sentence="The plain average of all batches (momentum=None) cures the lag.",
    source="An option of PyTorch's BatchNorm, and of bnlib's",
    paper="Not measured.",
    experiment=experiment,
    parts=gains("None", "0.1", LOOKS["full"]),
    rule=lambda found: overall(found["early"], also=found["late"].better),
    says="Test accuracy with the plain average: "
    + "; ".join(
        f"after {steps} steps [None, {look}] %, momentum 0.1 [0.1, {look}] % ([{look}] points), "
        f"population statistics [population, {look}] %"
        for look, steps in LOOKS["full"].items()
    )
    + ".",
    criterion="Reproduces if it is more accurate than momentum 0.1, by more than the size worth "
    "having, after 10 steps and after 1,000; partly if only after 10.",
    conclude="Early it helps, as nothing of the arbitrary start is left in it. Later it never "
    "forgets the batches of the first steps, when the weights were others. At the end of training "
    "use momentum, or count the population statistics anew.",
    effect_of=["late"],
    unit="points after 1,000 steps",
    worth=0.3,  # points of accuracy
)
