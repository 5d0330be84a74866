"""Whether the CNN with BN is behind because its running averages lag."""

from bnlib.claims.cnn_accuracy import COUNT, STEPS, network, trained
from bnlib.claims.engine import Claim, Row, gains
from bnlib.claims.engine.experiments import mnist, percent_of
from bnlib.claims.population_statistics import says
from bnlib.inference import population_statistics

RATES = (0.05, 0.1)
PLACES = {f"{lr:g}": f"at rate {lr:g}" for lr in RATES}


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with running and with population statistics, the same weights."""
    row = {}
    for lr in RATES:
        trainer = trained(network("batch", seed), lr, seed, size)
        row[f"running, {lr:g}"] = percent_of(trainer, COUNT[size])
        if trainer.diverged_at is None:
            population_statistics(trainer.net, mnist(shape="image"), 500, 5000)
        row[f"population, {lr:g}"] = percent_of(trainer, COUNT[size])
    return row


CLAIM = Claim(
    id="cnn_running_averages",
    sentence="In the CNN at large rates, lagging running averages cost accuracy.",
    source="Wu & Johnson 2021, section 3",
    paper="ResNet-50 on ImageNet: running averages are worse than population statistics early in "
    "training, and in training with large batches.",
    experiment=experiment,
    parts=gains("population", "running", PLACES),
    says=says(PLACES, STEPS["full"]),
    criterion="Reproduces if population statistics gain more than the size worth having over "
    f"running averages (momentum 0.1, the same weights) at both rates, {RATES[0]:g} and "
    f"{RATES[1]:g}; partly if only at one; not at this scale if they cannot gain it at either.",
    conclude="What the lag costs on average after a few hundred steps. Single runs can lose more: "
    "see the largest difference. A network that ends badly deserves `population_statistics` before "
    "a verdict: it costs one pass over some images.",
    effect_of=list(PLACES),
    unit="points, mean of both rates",
    worth=0.5,  # points of accuracy
)
