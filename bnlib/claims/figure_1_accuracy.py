"""Figure 1 (a) of Ioffe & Szegedy 2015: test accuracy while the network of the paper trains."""

from bnlib.claims.engine import Claim, Row, gains, rate_of, tuned_rates
from bnlib.claims.engine.experiments import ARMS, mlp32, mnist, percent_of, trained_percent
from bnlib.network import Sequential
from bnlib.training import Trainer

STEPS = {"full": 5000, "notebook": 400}
LOOKS = {"10 %": 0.1, "20 %": 0.2, "40 %": 0.4, "100 %": 1.0}  # of the steps
RATE = 0.1  # the paper does not give its own
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
TUNING_STEPS = 2000
WORDS = {"same rate": f"at rate {RATE:g}", "own rate": "at its best rate each"}


def network(arm: str, seed: int) -> Sequential:
    return mlp32([784, 100, 100, 100, 10], ARMS[arm], "sigmoid", seed=seed)


def tuning_run(arm: str, lr: float, seed: int) -> float:
    return trained_percent(network(arm, seed), mnist(binary=True), TUNING_STEPS, lr, seed)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracies in percent, at the looks, of both networks at both rates."""
    row = {}
    for arm in ARMS:
        for name, lr in (("same rate", RATE), ("own rate", tuned[rate_of(arm)])):
            trainer = Trainer(network(arm, seed), mnist(binary=True), lr, 60, seed)
            for look, share in LOOKS.items():
                trainer.advance(round(share * STEPS[size]) - trainer.step_count)
                row[f"{arm}, {name}, {look}"] = percent_of(trainer, 10_000)
    return row


def at_looks(name: str) -> str:
    return ", ".join(
        f"{share * STEPS['full']:,.0f}: [without, {name}, {look}:.1f] | [with, {name}, {look}:.1f] "
        f"([{name}, {look}])"
        for look, share in LOOKS.items()
    )


CLAIM = Claim(
    id="figure_1_accuracy",
    sentence="With BN the network learns faster and reaches a higher test accuracy.",
    source="Ioffe & Szegedy 2015, section 4.1 and Figure 1 (a)",
    paper="The same network and images, 50,000 steps of 60 images: the curve with BN lies above "
    "the other one from the start to the end. The learning rate is not given.",
    experiment=experiment,
    parts=gains("with", "without", [f"{name}, {look}" for name in WORDS for look in LOOKS]),
    says="Test accuracy in percent after so many steps, without | with BN (difference): "
    + "; ".join(f"{words}, {at_looks(name)}" for name, words in WORDS.items())
    + ".",
    criterion="Reproduces if the network with BN is ahead by more than the size worth having after "
    f"500, 1,000, 2,000 and 5,000 steps, both at the same rate, {RATE:g}, and with the best rate "
    "of each; partly if only in some of the eight comparisons.",
    conclude="The picture of the paper comes out at the same rate. How much of it is left once the "
    "other network has its own best rate is in the second half of the numbers. These are the first "
    "5,000 of the paper's 50,000 steps, for sigmoids with weights of scale 1: nothing about the "
    "end of a long training, and nothing about ReLUs.",
    effect_of=["own rate, 20 %"],
    unit="points after 1,000 steps, best rates",
    worth=1.0,  # points of accuracy
    **tuned_rates(tuning_run, ARMS, RATES),
)
