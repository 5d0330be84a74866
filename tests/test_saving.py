"""A saved file is whole at every moment, and what is not whole is refused in words."""

import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from bnlib.claims.engine.results import Results
from bnlib.exercises.engine import my_bn
from bnlib.saving import load_arrays, save_arrays

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array("text"), "c": np.array(-1)}


@pytest.mark.parametrize(
    "name, file", [("run", "run.npz"), ("run.npz", "run.npz"), ("v1.2", "v1.2.npz")]
)
def test_the_ending_is_added_in_both_directions(tmp_path, name, file):
    assert save_arrays(tmp_path / name, ARRAYS) == tmp_path / file
    assert [path.name for path in tmp_path.iterdir()] == [file]
    loaded = load_arrays(str(tmp_path / name), "arrays")
    assert loaded.keys() == ARRAYS.keys()
    assert all(
        np.array_equal(loaded[k], v) and loaded[k].dtype == v.dtype for k, v in ARRAYS.items()
    )


def test_an_error_while_saving_leaves_the_old_file_alone(tmp_path, monkeypatch):
    save_arrays(tmp_path / "run", ARRAYS)
    old = (tmp_path / "run.npz").read_bytes()

    def half(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", half)
    with pytest.raises(OSError, match="disk full"):
        save_arrays(tmp_path / "run", {"a": np.zeros(3)})
    assert (tmp_path / "run.npz").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


WRITERS = {
    "arrays": lambda path, n: save_arrays(path, {"a": np.arange(n)}),
    "my_bn.py": lambda path, n: my_bn._write(path, n * "#"),
    "claims": lambda path, n: Results(path).add("claim", "experiment", n, {"a": n}),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_the_old_file_is_replaced_and_never_written_into(tmp_path, write):
    """Who has it open reads it to its end: at no moment is there a part of the new one."""
    path = tmp_path / "saved.npz"
    write(path, 1000)
    old = path.read_bytes()
    with path.open("rb") as file:
        write(path, 10)
        assert file.read() == old != path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match="got objects in 'b'"):
        save_arrays(tmp_path / "run", {"a": np.ones(2), "b": np.array(None)})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder to save run.npz in, got .*gone"
    ):
        save_arrays(tmp_path / "gone" / "run", ARRAYS)
    with pytest.raises(FileNotFoundError, match=r"expected a Recording in .*run.npz, got no file"):
        load_arrays(tmp_path / "gone" / "run", "a Recording")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def damaged(path):
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"text")


def encrypted(path):
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # a flag of the last array, in the directory
    path.write_bytes(content)


DEFECTS = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("step,loss\n0,2.3\n"),
    "truncated": truncated,
    "damaged": damaged,
    "one array": one_array,
    "no array": no_array,
    "encrypted": encrypted,
    "pickle": lambda path: np.savez(path, a=np.array([None])),
}


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
def test_a_file_that_is_not_whole_is_refused_in_words(tmp_path, defect):
    path = save_arrays(tmp_path / "run", ARRAYS)
    defect(path)
    with pytest.raises(ValueError, match=r"expected a Recording in .*: was it cut short") as caught:
        load_arrays(path, "a Recording")
    assert "pickle" not in str(caught.value)  # NumPy's advice is to load it unsafely


SAVER = """
import sys, numpy as np
from bnlib.saving import save_arrays
print("ready", flush=True)
noise = np.random.default_rng(0).random(50_000)
for i in range(1, 10**6):
    arrays = {"i": np.array(i), "filled": np.full(200_000, i), "noise": noise}
    save_arrays(sys.argv[1], arrays)
"""


def killed_save(path, after):
    """Save over and over, kill the process ``after`` so many seconds; what is there then."""
    with subprocess.Popen([sys.executable, "-c", SAVER, path], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    arrays = load_arrays(path, "arrays")
    assert (arrays["filled"] == arrays["i"]).all() and len(arrays["filled"]) == 200_000
    return int(arrays["i"])


@pytest.mark.parametrize("after", [0.0, 0.05, 0.11])
def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path, after):
    path = tmp_path / "run.npz"
    save_arrays(path, {"i": np.array(0), "filled": np.zeros(200_000, int)})
    assert killed_save(path, after) >= 0
