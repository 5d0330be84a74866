"""Sequential and mlp."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from cases import snapshot
from test_training import DATA

import bnlib
from bnlib.gradients import gradcheck
from bnlib.landscape import loss_along_gradient
from bnlib.layers import Dense, Dropout, ReLU, Residual, Sigmoid, Tanh
from bnlib.losses import softmax_cross_entropy
from bnlib.network import NORMS, Sequential, cnn, default_init_scale, mlp
from bnlib.norms import BatchNorm, GroupNorm
from bnlib.optim import SGD
from bnlib.profile import signal_profile
from bnlib.tracking import track

X = np.random.default_rng(0).standard_normal((7, 6))
LABELS = np.random.default_rng(1).integers(0, 3, 7)
IMAGES = np.random.default_rng(0).standard_normal((7, 1, 8, 8))


def make_mlp(norm, activation, **settings):
    return mlp([6, 5, 4, 3], norm, activation, **settings), X


def make_cnn(norm, activation, **settings):
    return cnn((1, 2, 3), norm, activation, image_size=8, num_classes=3, **settings), IMAGES


MAKERS = {  # of a network, and of images for it
    "mlp": make_mlp,
    "norm after": partial(make_mlp, norm_position="after"),
    "cnn": make_cnn,
}


def make_residual(norm, activation, **settings):
    """A branch that holds a small mlp, its norm among the layers, and a branch in the branch."""
    inner = [*mlp([6, 8, 6], norm, activation, **settings).layers, Residual([Dense(6, 6)])]
    return Sequential([*mlp([6, 6], **settings).layers, Residual(inner), Dense(6, 3)]), X


RESIDUAL = {"residual": make_residual}
# Not "renorm": its r and d are constants in the gradient and not in a difference (test_norms.py).
IN_MLP = [None, "batch", "layer", "group", "rms", "ghost"]
IN_CNN = [*IN_MLP, "instance"]
WITH_NORM = [
    *((make, norm) for make in [*MAKERS, *RESIDUAL] if make != "cnn" for norm in IN_MLP),
    *(("cnn", norm) for norm in IN_CNN),
]


# -- Sequential -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make, norm", WITH_NORM)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_all_gradients_of_a_network_agree_with_differences(make, norm, activation):
    net, images = (MAKERS | RESIDUAL)[make](norm, activation, seed=2)
    rng = np.random.default_rng(3)
    net.flat_params += 0.1 * rng.standard_normal(net.flat_params.size)  # gamma, beta, bias not 1, 0
    saved = {}

    def loss_of(flat, x):
        net.flat_params[...] = flat
        loss, saved["dlogits"] = softmax_cross_entropy(net(x), LABELS)
        return np.array([loss])

    def backward(dy):
        dx = net.backward(dy[0] * saved["dlogits"])
        return {"flat": net.flat_grads.copy(), "x": dx}

    report = gradcheck(loss_of, backward, {"flat": net.flat_params.copy(), "x": images}, tol=1e-5)
    assert report.passed, report


def test_params_and_grads_are_views_of_the_flat_arrays():
    net = mlp([6, 5, 3], "batch")
    assert net.flat_params.size == 6 * 5 + 5 + 5 + 5 * 3 + 3
    for arrays, flat in ((net.params, net.flat_params), (net.grads, net.flat_grads)):
        for k, array in enumerate(arrays.values()):
            array[...] = k
        values, counts = np.unique(flat, return_counts=True)
        assert values.tolist() == list(range(len(arrays)))
        assert counts.tolist() == [array.size for array in arrays.values()]
    net.flat_params[...] = 7
    assert (net.layers[1].gamma == 7).all() and (net.layers[3].weight == 7).all()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_backward_without_the_input_gradient_fills_the_same_gradients(make):
    net, images = make("batch", "tanh", seed=1)
    dlogits = softmax_cross_entropy(net(images), LABELS)[1]
    assert net.backward(dlogits).shape == images.shape
    grads = net.flat_grads.copy()
    net.flat_grads[...] = np.nan
    net(images)
    assert net.backward(dlogits, input_gradient=False) is None
    assert np.array_equal(net.flat_grads, grads) and grads.any()


@pytest.mark.parametrize("training", [True, False])
def test_nonlinearity_inputs_are_those_of_the_batch_and_looking_changes_nothing(training):
    """Not even where it fails."""
    net = mlp([6, 5, 4, 3], "batch", "sigmoid", seed=4)
    net(X)
    if not training:
        net.eval()
    before = snapshot(net)
    inputs = net.nonlinearity_inputs(X)
    with pytest.raises(ValueError, match="expected x of shape"):
        net.nonlinearity_inputs(np.ones((7, 5)))
    assert snapshot(net) == before
    assert net.training == training and all(layer.training == training for layer in net.layers)
    assert [z.shape for z in inputs] == [(7, 5), (7, 4)]
    net.train()
    x = X
    for layer in net.layers:
        if isinstance(layer, Sigmoid):
            assert np.array_equal(inputs.pop(0), x)
        x = layer.forward(x)
    assert inputs == []


def test_layers_of_two_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"layers of one dtype, got \['float32', 'float64'\]"):
        Sequential([Dense(2, 2), Dense(2, 2, dtype=np.float32)])


def test_a_layer_that_stands_twice_is_refused():
    """It keeps one batch for its backward pass: the first one's gradients would be wrong."""
    act = ReLU()
    with pytest.raises(ValueError, match=r"same ReLU\(\) twice, at index 3 the second time"):
        Sequential([Dense(6, 5), act, Dense(5, 5), act])
    with pytest.raises(ValueError, match=r"same ReLU\(\) twice, at index 1.branch.1 the second"):
        Sequential([act, Residual([Dense(5, 5), act])])


@pytest.mark.parametrize("layers", [[ReLU], [None], [Dense(2, 2), np.tanh], [mlp([2, 2])]])
def test_what_is_no_layer_is_refused(layers):
    with pytest.raises(TypeError, match=f"got a .* at index {len(layers) - 1}"):
        Sequential(layers)
    with pytest.raises(ValueError, match="at least one layer"):
        Sequential([])
    with pytest.raises(TypeError, match="Sequential expected a list of layers, got ReLU"):
        Sequential(ReLU())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_of_a_network_can_be_trained(copied):
    """Its parameters are views into its own flat array, and it learns as the original does."""
    net = nested()
    before, twin = net.flat_params.copy(), copied(net)
    for a in (net, twin):
        a.backward(softmax_cross_entropy(a(X), LABELS)[1])
        SGD(a, 0.5).step()
        assert sum(p.size for p in a.params.values()) == a.flat_params.size
        assert all(np.shares_memory(p, a.flat_params) for p in a.params.values())
        assert all(np.shares_memory(g, a.flat_grads) for g in a.grads.values())
    assert np.array_equal(net(X), twin(X)) and not np.array_equal(net.flat_params, before)
    assert not np.shares_memory(net.flat_params, twin.flat_params)


def test_after_an_error_nothing_is_half_new():
    """The second BatchNorm refuses what the first one, in a branch, has let through."""
    net = Sequential([Residual([BatchNorm(6)]), *mlp([6, 5, 3], "batch").layers])
    net.backward(softmax_cross_entropy(net(X), LABELS)[1])
    net.layers[1].weight[0, 0] = np.nan
    before = snapshot(net)
    with pytest.raises(ValueError, match="NaN or infinity in channel 0"):
        net(X)
    assert snapshot(net) == before
    net.layers[1].weight[0, 0] = 0
    net(X)
    dlogits = np.zeros((7, 3))
    dlogits[0, 0] = np.nan
    with pytest.raises(ValueError, match="dy"):
        net.backward(dlogits)
    assert not net.flat_grads.any()


def test_repr_reads_like_a_summary():
    lines = repr(mlp([784, 100, 10], "batch")).splitlines()
    assert lines[0] == "Sequential, 79,610 parameters, float64"
    assert [line.split() for line in lines[1:]] == [
        ["0", "Dense(784,", "100,", "bias=False)", "78,400"],
        ["1", "BatchNorm(100)", "200"],
        ["2", "ReLU()"],
        ["3", "Dense(100,", "10)", "1,010"],
    ]


# -- Residual branches, and what else `as_it_was` puts back ---------------------------------------


def nested():
    """A branch in a branch, with running statistics and random numbers in it."""
    inner = Residual([BatchNorm(6), Tanh(), Dropout(0.5, rng=3)])
    return Sequential([Dense(6, 6), Residual([Dense(6, 6, rng=1), inner]), Sigmoid(), Dense(6, 3)])


def test_names_in_a_branch_are_those_of_nested_modules():
    net, other = nested(), nested()
    norm = ["1.branch.1.branch.0.gamma", "1.branch.1.branch.0.beta"]
    dense = ["0.weight", "0.bias", "1.branch.0.weight", "1.branch.0.bias"]
    assert list(net.params) == list(net.grads) == [*dense, *norm, "3.weight", "3.bias"]
    assert {n for n in net.state_dict() if "running" in n} < set(net.buffers)
    net(X)
    other.load_state_dict(net.state_dict())
    assert np.array_equal(other.eval()(X), net.eval()(X))


def test_as_it_was_reaches_into_a_branch_and_random_numbers_come_back():
    """Looking changes nothing that training sees: the next masks are those of before."""
    net, untouched = nested(), nested()
    norm = net.layers[1].branch[1].branch[0]
    with net.as_it_was():
        norm.momentum = None
        net.train()(X)
        assert net.eval() is net and not net.training and not norm.training
    assert norm.momentum == 0.1 and net.training and net.layers[1].training and norm.training
    inputs = net.nonlinearity_inputs(X, before_norm=True)
    assert [z.shape for _, z in inputs] == [(7, 6)] * 2 and len(net.nonlinearities) == 2
    assert not np.array_equal(*inputs[0]) and np.array_equal(*inputs[1])
    for _ in range(2):
        assert np.array_equal(net(X), untouched(X))
    assert snapshot(net) == snapshot(untouched)


def test_nonlinearity_inputs_add_the_path_around_a_branch():
    net = make_residual("layer", "tanh")[0]
    first, last = Dense(6, 6, rng=8), Tanh()
    net = Sequential([first, *net.layers[1:2], last])
    assert np.array_equal(net.nonlinearity_inputs(X)[-1], net.layers[1].forward(first.forward(X)))


# -- State ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"9.weight": 1}, KeyError, "does not know .*9.weight"),
        ({3: 1}, KeyError, "does not know .'3'"),
        ({"3.weight": np.ones((5, 3))}, ValueError, r"shape \(3, 5\), got \(5, 3\)"),
        ({"3.weight": np.full((3, 5), np.nan)}, ValueError, "finite numbers"),
        ({"1.running_var": -np.ones(5)}, ValueError, "running_var >= 0, got -1"),
        ({"1.num_batches_tracked": 1e30}, ValueError, "int64 can hold in 1.num_batches"),
        ({"1.num_batches_tracked": 2.5}, ValueError, "int64 can hold in 1.num_batches"),
        ({"1.num_batches_tracked": -1}, ValueError, "num_batches_tracked >= 0, got -1"),
        ({"3.weight": None}, TypeError, "real numbers in 3.weight of the network"),
        ({"1.running_var": 1j * np.ones(5)}, TypeError, "real numbers in 1.running_var"),
        ({"1.running_var": [[1], [2, 3]]}, TypeError, "real numbers in 1.running_var"),
    ],
)
def test_a_bad_state_dict_changes_nothing(changed, error, message):
    """Also not the layers before the one that does not fit."""
    net = mlp([6, 5, 3], "batch")
    before = snapshot(net)
    with pytest.raises(error, match=message):
        net.load_state_dict({name: v + 1 for name, v in net.state_dict().items()} | changed)
    assert snapshot(net) == before
    with pytest.raises(TypeError, match="expected a state dict, name -> array, got list"):
        net.load_state_dict([1, 2])


def test_saved_weights_load_under_the_same_name(tmp_path):
    net, other = mlp([6, 5, 3], "batch", seed=1), mlp([6, 5, 3], "batch", seed=2)
    net(X)
    assert net.save(tmp_path / "net") == tmp_path / "net.npz"
    assert other.load(tmp_path / "net") is other
    assert snapshot(other) == snapshot(net)
    assert np.array_equal(other.flat_params, net.flat_params)  # still views of the flat array
    with pytest.raises(KeyError, match="was it saved from another architecture"):
        mlp([6, 5, 5, 3]).load(tmp_path / "net")


@pytest.mark.parametrize(
    "function, rest",
    [
        (SGD, [0.1]),
        (bnlib.accuracy, [X, LABELS]),
        (bnlib.diagnose, [DATA]),
        (bnlib.fold_batchnorm, []),
        (bnlib.population_statistics, [DATA]),
        (bnlib.train, [DATA, 2, 0.1, 20]),
        (bnlib.Recorder(DATA).record, [0, 1.0]),
        (loss_along_gradient, [X, LABELS, [0.1]]),
        (signal_profile, [X, LABELS]),
        (track, [DATA, 2, 0.1, 20]),
    ],
)
def test_what_is_no_network_is_refused_in_words(function, rest):
    with pytest.raises(TypeError, match=r"expected a network, such as mlp\(.*, got list"):
        function([Dense(3, 4)], *rest)


# -- mlp ------------------------------------------------------------------------------------------


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


def test_mlp_puts_batch_norm_where_it_is_asked_for():
    assert kinds(mlp([6, 5, 4, 3])) == ["Dense", "ReLU", "Dense", "ReLU", "Dense"]
    before = ["Dense", "BatchNorm", "Tanh", "Dense", "BatchNorm", "Tanh", "Dense"]
    assert kinds(mlp([6, 5, 4, 3], "batch", "tanh")) == before
    after = ["Dense", "Sigmoid", "BatchNorm", "Dense"]
    assert kinds(mlp([6, 5, 3], "batch", "sigmoid", norm_position="after")) == after
    assert kinds(mlp([6, 3], "batch")) == ["Dense"]
    for net, biases in (
        (mlp([6, 5, 4, 3], "batch"), [False, False, True]),
        (mlp([6, 5, 4, 3], "batch", norm_position="after"), [True, True, True]),
        (mlp([6, 5, 4, 3]), [True, True, True]),
    ):
        dense = [layer for layer in net.layers if isinstance(layer, Dense)]
        assert [layer.bias is not None for layer in dense] == biases


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm])
@pytest.mark.parametrize("images", [False, True])
def test_the_table_says_which_norm_makes_a_bias_useless(norm, images):
    """A bias that is cancelled, or whose mean counts as a constant, has the gradient 0."""
    if norm == "instance" and not images:
        with pytest.raises(ValueError, match=r"norm for units, got norm='instance'.*, or a cnn"):
            mlp([6, 16, 3], norm)
        return
    net = cnn((1, 16), norm, image_size=8) if images else mlp([6, 16, 3], norm)
    linear, layer = net.layers[:2]
    assert (linear.bias is None) == NORMS[norm].cancels_bias
    rng = np.random.default_rng(0)
    shape = (9, 16, 4, 4) if images else (9, 16)
    shape = (9, 16, 8, 8) if norm == "rms" and images else shape  # a gamma for each value
    layer.forward(rng.normal(1, 2, shape))
    layer.forward(rng.normal(1, 2, shape))  # Batch Renorm corrects from the second batch on
    of_bias = layer.backward(rng.standard_normal(shape)).sum(axis=(0, *range(2, len(shape))))
    assert (np.abs(of_bias) < 1e-12).all() == NORMS[norm].cancels_bias


@pytest.mark.parametrize(
    "channels, groups, of_images", [(100, 10, 25), (64, 8, 16), (16, 2, 4), (6, 1, 1), (13, 1, 1)]
)
def test_group_norm_by_name_has_a_number_of_groups_that_divides(channels, groups, of_images):
    assert mlp([4, channels, 2], "group").layers[1].num_groups == groups
    assert cnn((1, channels), "group").layers[1].num_groups == of_images
    of_layer = cnn((1, channels), "layer").layers[1]  # as in Wu & He 2018
    assert isinstance(of_layer, GroupNorm) and of_layer.num_groups == 1


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm not in (None, "instance")])
def test_every_norm_is_looked_at_from_both_sides_and_put_back(norm):
    net = mlp([6, 8, 8, 3], norm, "tanh", seed=4)
    before = snapshot(net)
    pairs = net.nonlinearity_inputs(X, before_norm=True)
    assert snapshot(net) == before
    assert np.array_equal(pairs[0][0], net.layers[0].forward(X))
    assert np.array_equal(pairs[0][1], net.layers[1].forward(pairs[0][0]))
    assert not np.array_equal(*pairs[1])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_the_same_seed_gives_the_same_weights_with_and_without_batch_norm(make):
    def weights(norm, seed):
        layers = make(norm, "relu", seed=seed)[0].layers
        return [layer.weight for layer in layers if "weight" in layer.params]

    plain = weights(None, 8)
    assert all(np.array_equal(a, b) for a, b in zip(plain, weights("batch", 8), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(plain, weights(None, 9)))


@pytest.mark.parametrize("activation, scale", [("relu", 2**0.5), ("sigmoid", 1), ("tanh", 1)])
@pytest.mark.parametrize("init_scale", [None, 0.3])
def test_weights_start_with_the_documented_spread(activation, scale, init_scale):
    net = mlp([300, 400, 10], activation=activation, init_scale=init_scale, seed=1)
    scale = scale if init_scale is None else init_scale
    assert default_init_scale(activation) == scale or init_scale
    assert net.layers[0].weight.std() == pytest.approx(scale * 300**-0.5, rel=0.02)
    assert net.layers[2].weight.std() == pytest.approx(scale * 400**-0.5, rel=0.05)
    net = cnn((1, 16, 32), activation=activation, init_scale=init_scale)
    assert net.layers[3].weight.std() == pytest.approx(scale * (16 * 9) ** -0.5, rel=0.05)


def test_float32_weights_are_the_rounded_float64_ones_and_one_generator_gives_different_ones():
    a, b = mlp([6, 5, 3], seed=3), mlp([6, 5, 3], seed=3, dtype=np.float32)
    assert np.array_equal(a.flat_params.astype(np.float32), b.flat_params)
    rng = np.random.default_rng(0)
    assert not np.array_equal(mlp([3, 2], seed=rng).flat_params, mlp([3, 2], seed=rng).flat_params)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"norm": "bacth"}, r"norm expected one of \(None, 'batch'.*\), got 'bacth'"),
        ({"activation": "gelu"}, "activation expected one of .*, got 'gelu'"),
        ({"norm_position": "behind"}, "norm_position expected one of .*, got 'behind'"),
        ({"norm": ["batch"]}, "norm expected one of"),
        ({"init_scale": float("nan")}, "init_scale >= 0, got nan"),
        ({"sizes": [4, 2.5]}, r"at least two positive sizes, got \[4, 2.5\]"),
        ({"sizes": 4}, "at least two positive sizes, got 4"),
        ({"sizes": [4, 0, 2]}, r"at least two positive sizes, got \[4, 0, 2\]"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        mlp(**{"sizes": [4, 2]} | settings)
    for seed in ("zero", -1, 1.5):
        with pytest.raises(TypeError, match="expected a seed, a whole number >= 0"):
            mlp([4, 2], seed=seed)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"channels": (1,)}, r"cnn expected at least two positive channels, got \[1\]"),
        ({"norm": "bach"}, "norm expected one of"),
        ({"activation": "gelu"}, "activation expected one of"),
        ({"image_size": 3}, "image_size >= 4 for 2 blocks, .*, got 3"),
    ],
)
def test_bad_settings_of_a_cnn_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        cnn(**settings)
