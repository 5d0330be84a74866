"""A CNN that trains on one image at a time, with BN and without."""

import numpy as np

from bnlib.claims.engine import (
    Claim,
    Row,
    gains,
    minus,
    overall,
    rate_of,
    side_by_side,
    tuned_rates,
)
from bnlib.claims.engine.experiments import (
    ARMS,
    GUESSING,
    mnist,
    percent_right,
    test_images,
    trained_percent,
)
from bnlib.network import Sequential, cnn

STEPS = {"full": 1000, "notebook": 200}
RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
RATE = 0.02  # the same for both
ALONE = 500  # test images, one by one
PLACES = {"same rate": "same rate", "own rate": "own rate"}


def network(arm: str, seed: int) -> Sequential:
    return cnn((1, 8, 16), ARMS[arm], image_size=14, seed=seed, dtype=np.float32)


def percent(net: Sequential, lr: float, seed: int, size: str = "full") -> float:
    data = mnist(pool=True, shape="image")
    return trained_percent(net, data, STEPS[size], lr, seed, batch_size=1)


def experiment(seed: int, size: str, **tuned: float) -> Row:
    """Test accuracy in percent after steps of one image; with BN also in training mode, where every
    test image alone is normalised with its own statistics, on ALONE images."""
    data, row = mnist(pool=True, shape="image"), {}
    for arm in ARMS:
        row[f"{arm}, same rate"] = percent(network(arm, seed), RATE, seed, size)
        net = network(arm, seed)
        row[f"{arm}, own rate"] = percent(net, tuned[rate_of(arm)], seed, size)
    finite = row["with, own rate"] != GUESSING  # net is now the one with BN
    row["with, running"] = percent_right(net, data, ALONE) if finite else GUESSING
    row["with, alone"] = alone(net) if finite else GUESSING
    return row


def alone(net: Sequential) -> float:
    """Accuracy in percent in training mode, one image at a time: BN is instance normalization."""
    images, labels = test_images(mnist(pool=True, shape="image"), ALONE)
    with net.as_it_was():
        net.train()
        answers = [net(images[i : i + 1]).argmax() for i in range(ALONE)]
    return 100 * float(np.mean(answers == labels))


CLAIM = Claim(
    id="cnn_batch_of_one",
    sentence="A CNN that learns from one image at a time learns better with BN.",
    source="Measured here; for small batches see Wu & He 2018, Figure 1",
    paper="ResNet-50 on ImageNet: the error of BN rises as the batch gets smaller, down to the 2 "
    "images that are the fewest there.",
    experiment=experiment,
    parts=gains("with", "without", PLACES) | {"alone": minus("with, alone", "with, running")},
    rule=lambda found: overall(found["same rate"], found["own rate"]),
    says=f"Test accuracy after {STEPS['full']} steps of one image, without | with BN: "
    + side_by_side("without", "with", PLACES)
    + ". With BN and every image normalised by its own statistics, as in training, [alone] points "
    "more than with running averages.",
    criterion="Reproduces if BN is ahead by more than the size worth having at the same rate, "
    f"{RATE:g}, and at the best rate of each network; partly if only in one comparison; not at "
    "this scale if neither can hold so much.",
    conclude="BN over one image works in a CNN, since a map holds many values: that it works says "
    "little, as the network without BN learns too. With N = 1 BN is instance normalization in "
    "training only: at test time it uses averages over many images.",
    effect_of=["own rate"],
    unit="points, best rates",
    worth=3.0,  # points of accuracy
    seeds=20,
    **tuned_rates(lambda arm, lr, seed: percent(network(arm, seed), lr, seed), ARMS, RATES),
)
