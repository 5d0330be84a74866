"""Effective beta-smoothness along the gradient, from the same runs as `landscape`."""

from bnlib.claims.engine import Claim
from bnlib.claims.landscape import RATES, experiment, parts, says

CLAIM = Claim(
    id="smoothness",
    sentence="With BN the loss is smoother: the gradient changes less for each unit of distance.",
    source="Santurkar et al. 2018, section 3.1 and Figure 4 (c)",
    paper="VGG on CIFAR-10: effective beta-smoothness is lower with BN.",
    experiment=experiment,
    parts=parts("smoothness"),
    says=says,
    criterion="Reproduces if the largest ratio of the gradient's change to the distance is smaller "
    f"with BN by more than the size worth having at both rates, {RATES[0]:g} and {RATES[1]:g}; "
    "partly if at one.",
    conclude="The size of the gradients enters here, which in a network with BN depends on the "
    "size of the weights. So the number compares scales as much as shapes.",
    effect_of=list(parts("smoothness")),
    unit="powers of ten less, beta",
    worth=0.1,  # powers of ten: a factor of 1.26
)
