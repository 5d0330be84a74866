"""The judges of what is done in practice, on rows made up for each verdict; what they rest on."""

import numpy as np
import pytest

from bnlib import claims, mlp
from bnlib.claims import only_gamma_beta
from bnlib.claims.engine.altered import PartialSGD, for_each
from bnlib.claims.engine.experiments import FIVE
from bnlib.claims.engine.judging import NOT_HERE, PARTLY, REPRODUCES, UNDECIDED

# claim -> the names of its numbers, and cases: verdict, means of the numbers, noise of the seeds
CASES = {
    "only_gamma_beta": (
        tuple(only_gamma_beta.ARMS),
        [
            (REPRODUCES, (80, 74, 58, 94), 0.5),
            (PARTLY, (80, 79, 58, 94), 0.5),
            (PARTLY, (80, 74, 90, 94), 0.5),
            (NOT_HERE, (80, 79, 90, 94), 0.5),
            (UNDECIDED, (80, 78, 90, 94), 2),
        ],
    ),
}


@pytest.mark.parametrize(
    "name, verdict, means, noise",
    [(name, *case) for name, (_, cases) in CASES.items() for case in cases],
)
def test_judge_gives_the_verdict(name, verdict, means, noise, made_rows):
    rows = made_rows(dict(zip(CASES[name][0], means, strict=True)), noise)
    assert claims.claims()[name].decide(rows).verdict == verdict


class TestOnlyGammaBeta:
    @pytest.mark.parametrize("arm", only_gamma_beta.ARMS)
    def test_each_arm_trains_as_many_numbers_as_it_says(self, arm):
        net = mlp(FIVE, "batch", dtype=np.float32)
        trained = only_gamma_beta.trained(net, arm, 5)
        assert trained.sum() == only_gamma_beta.ARMS[arm]
        assert set(np.unique(trained)) <= {0, 1} and trained.shape == net.flat_params.shape

    def test_two_weights_enter_each_hidden_unit_and_differ_from_seed_to_seed(self):
        net = mlp([6, 5, 4, 3], "batch", dtype=np.float32)
        trained = only_gamma_beta.trained(net, "two weights a unit", 5)
        assert (trained[:30].reshape(6, 5).sum(axis=0) == 2).all()
        assert trained[30:40].sum() == 0  # gamma and beta of the first BN
        assert (trained[40:60].reshape(5, 4).sum(axis=0) == 2).all()
        assert trained[60:].sum() == 0  # the second BN and the last layer
        other = only_gamma_beta.trained(net, "two weights a unit", 6)
        assert not np.array_equal(trained, other)


class TestPartialSGD:
    def test_trains_and_decays_only_what_it_is_told(self):
        net = mlp([3, 4, 2], "batch", seed=1)
        before = {name: p.copy() for name, p in net.params.items()}
        gammas = for_each(net, lambda name, p: name.endswith("gamma"))
        weights = for_each(net, lambda name, p: name.endswith("weight"))
        net.flat_grads[...] = 1
        PartialSGD(net, 0.1, trained=gammas + weights, decay=0.5 * weights).step()
        for name, p in net.params.items():
            was = before[name]
            if name.endswith("weight"):
                np.testing.assert_allclose(p, was - 0.1 * (1 + 0.5 * was))
            elif name.endswith("gamma"):
                np.testing.assert_allclose(p, was - 0.1)
            else:
                assert np.array_equal(p, was)

    def test_for_each_follows_the_order_of_the_flat_array(self):
        net = mlp([3, 4, 2], "batch", seed=1)
        assert np.array_equal(for_each(net, lambda name, p: p), net.flat_params)
