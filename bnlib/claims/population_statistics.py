"""At the end of training: running averages, or statistics counted anew."""

from collections.abc import Callable, Mapping

from bnlib.claims.engine import Claim, Row, gains
from bnlib.claims.engine.experiments import THREE, mlp32, mnist, percent_right
from bnlib.inference import population_statistics
from bnlib.training import Trainer

STEPS = {"full": 500, "notebook": 150}
RATES = (0.1, 1.0)
PLACES = {f"{lr:g}": f"at rate {lr:g}" for lr in RATES}


def experiment(seed: int, size: str) -> Row:
    """Test accuracy in percent with both kinds of statistics, the same weights."""
    data, row = mnist(pool=True), {}
    for lr in RATES:
        net = mlp32(THREE, "batch", seed=seed)
        Trainer(net, data, lr, 64, seed).advance(STEPS[size])
        row[f"running, {lr:g}"] = percent_right(net, data, 10_000)
        population_statistics(net, data, n=20_000)
        row[f"population, {lr:g}"] = percent_right(net, data, 10_000)
    return row


def says(places: Mapping[str, str], steps: int) -> Callable:
    """What population statistics gain at each place; cnn_running_averages says it too."""

    def says(rows: list[Row], found: dict) -> str:
        said = []
        for place, words in places.items():
            most = max(row[f"population, {place}"] - row[f"running, {place}"] for row in rows)
            said.append(
                f"{words} [running, {place}] % with running averages, [population, {place}] % with "
                f"population statistics ([{place}] points, at most {most:.1f})"
            )
        return f"Test accuracy after {steps} steps: " + "; ".join(said) + "."

    return says


CLAIM = Claim(
    id="population_statistics",
    sentence="After training, population statistics are more accurate than running averages.",
    source="Ioffe & Szegedy 2015, Algorithm 2; Wu & Johnson 2021, section 3",
    paper="The first prescribes population statistics; the second finds both about equal at the "
    "end of a usual training.",
    experiment=experiment,
    parts=gains("population", "running", PLACES),
    says=says(PLACES, STEPS["full"]),
    criterion="Reproduces if they gain more than the size worth having at both rates "
    f"({RATES[0]:g} and {RATES[1]:g}, momentum 0.1, batches of 64, ReLUs); partly if only at one; "
    "not at this scale if they cannot gain it at either.",
    conclude="With momentum 0.1 and some hundred steps the cheap averages cost fractions of a "
    "point. They cost more after few steps or with a small momentum (averages_lag), and single "
    "runs of a CNN can differ (cnn_running_averages).",
    unit=f"points at rate {RATES[0]:g}",
    worth=0.5,  # points of accuracy
    seeds=20,
)
