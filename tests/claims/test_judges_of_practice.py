"""The judges of what is done in practice, on rows made up for each verdict; what they rest on."""

import numpy as np
import pytest

from bnlib import claims, mlp
from bnlib.claims import dropout_before_bn, gamma_zero_residual, only_gamma_beta
from bnlib.claims.engine.altered import PartialSGD, for_each
from bnlib.claims.engine.experiments import FIVE, mnist
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
    "decay_gamma_beta": (
        (
            *("on all, 0.001", "not on gamma and beta, 0.001"),
            *("on all, 0.01", "not on gamma and beta, 0.01", "no decay"),
        ),
        [
            (REPRODUCES, (87, 88, 88, 89, 86), 0.2),
            (PARTLY, (87, 87, 88, 89, 86), 0.1),
            (NOT_HERE, (87, 87, 88, 87.9, 86), 0.1),
            (NOT_HERE, (87, 86, 88, 86, 86), 0.1),  # worse is not better
            (UNDECIDED, (87, 87, 88, 88.4, 86), 0.5),
        ],
    ),
    "dropout_before_bn": (
        tuple(
            f"{arm}, {p}, {number}"
            for number in ("variance ratio", "running", "renewed")
            for arm in ("in front", "behind")
            for p in (0.5, 0.8)
        ),
        # ratios in front at 50 and 80 %, behind; accuracy with running statistics, with renewed
        [
            (REPRODUCES, (0.5, 0.1, 0.9, 0.9, 85, 30, 94, 93, 88, 50, 94, 93), 0.02),
            (PARTLY, (0.5, 0.1, 0.9, 0.9, 88, 30, 94, 93, 88, 50, 94, 93), 0.02),
            (PARTLY, (0.5, 0.1, 0.9, 0.9, 88, 50, 94, 93, 88, 50, 94, 93), 0.02),
            (NOT_HERE, (0.9, 0.9, 0.9, 0.9, 88, 50, 94, 93, 88, 50, 94, 93), 0.02),
            (UNDECIDED, (0.8, 0.8, 0.9, 0.9, 88, 50, 94, 93, 88.9, 50, 94, 93), 0.2),
        ],
    ),
    "gamma_zero_residual": (
        tuple(
            f"{arm}, {place}"
            for place in ("0.1, early", "1, early", "best, late", "0.1, late", "1, late")
            for arm in ("one", "zero")
        ),
        [
            (REPRODUCES, (82, 88, 60, 88, 91, 93, 91, 92, 80, 92), 0.3),
            (PARTLY, (82, 88, 60, 88, 93, 93, 91, 92, 80, 92), 0.3),
            (NOT_HERE, (88, 88, 88, 88, 93, 93, 91, 92, 80, 92), 0.3),
            (UNDECIDED, (88, 88.5, 88, 88, 93, 93, 91, 92, 80, 92), 2),
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


class TestDropoutBeforeBN:
    def test_the_arms_differ_in_the_places_of_dropout_alone(self):
        in_front, behind = (
            dropout_before_bn.network(arm, 0.5, 3) for arm in ("in front", "behind")
        )
        assert np.array_equal(in_front.flat_params, behind.flat_params)
        count = {
            net: [type(layer).__name__ for layer in net.layers].count("Dropout")
            for net in (in_front, behind)
        }
        assert count == {in_front: 3, behind: 1}
        assert str(behind.layers[-2]) == str(in_front.layers[-2]) == "Dropout(0.5)"

    def test_ratio_is_one_where_running_and_real_variance_agree(self):
        net = dropout_before_bn.network("in front", 0.5, 3)
        x, _ = mnist(pool=True).batch(slice(0, 500), np.float32)
        net.eval()
        for layer in net.layers:  # each BN gets the very statistics of x, layer by layer
            if "running_var" in layer.buffers:
                layer.running_mean, layer.running_var = x.mean(axis=0), x.var(axis=0)
                last = layer
            x = layer.forward(x)
        x, _ = mnist(pool=True).batch(slice(0, 500), np.float32)
        assert dropout_before_bn.variance_ratio(net, x) == pytest.approx(1, abs=1e-4)
        last.running_var = 4 * last.running_var
        assert dropout_before_bn.variance_ratio(net, x) == pytest.approx(0.25, abs=1e-4)


class TestGammaZero:
    def test_blocks_start_as_the_identity_on_the_same_weights(self):
        one, zero = (gamma_zero_residual.network(gamma, 3) for gamma in (1.0, 0.0))
        x, _ = mnist(pool=True).batch(slice(0, 60), np.float32)
        first = x
        for layer in zero.layers[:3]:
            first = layer.forward(first)
        assert np.array_equal(zero(x), zero.layers[-1].forward(first))
        assert not np.allclose(one(x), zero(x), atol=0.1)
        assert all(
            np.array_equal(p, zero.params[name])
            for name, p in one.params.items()
            if not name.endswith("branch.4.gamma")
        )


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
