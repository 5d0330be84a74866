"""`ready` says ok, or what is wrong with its remedy, and its exit code says which."""

import importlib.metadata

import pytest

import bnlib
from bnlib.classroom import ready
from bnlib.classroom.__main__ import main


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(ready, "SECONDS", 0.05)


def answers(capsys):
    code = main(["ready"])
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == (
        "Ready." if code == 0 else f"Not ready: {_wrong(lines)} of 6 have to be mended."
    )
    return code, {line[6:].partition(": ")[0]: line for line in lines}


def _wrong(lines):
    return sum(line.startswith("MEND") for line in lines)


def test_a_machine_that_is_ready(capsys, monkeypatch):
    monkeypatch.setattr(ready, "free_memory", lambda: 4.2)
    code, lines = answers(capsys)
    assert code == 0 and list(lines) == list(ready.QUESTIONS)
    assert all(line.startswith("ok    ") for line in lines.values())
    assert "numpy 2" in lines["versions"] and "jupyterlab 4" in lines["versions"]
    assert "60,000 and 10,000 images" in lines["data"]
    assert "steps a second" in lines["training"]
    assert "kB" in lines["widget"]
    assert "room for 4" in lines["memory"]


def test_versions_that_are_missing_or_out_of_range(capsys, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "ipykernel":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.26.4" if name == "numpy" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    code, lines = answers(capsys)
    assert code == 1
    assert "numpy is 1.26.4, expected <3,>=2.0" in lines["versions"]
    assert "ipykernel is not installed, expected ipykernel<8,>=6.29" in lines["versions"]
    assert lines["versions"].endswith("->  in bnlib's folder: pip install -r requirements.txt")
    assert _wrong(lines.values()) == 1, "the others are asked all the same"


def test_ranges_without_the_repository(monkeypatch, tmp_path):
    monkeypatch.setattr(ready, "REQUIREMENTS", tmp_path / "missing.txt")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy<2,>=1.26"])
    with pytest.raises(ready.Mend, match=r"numpy is 2.* expected <2,>=1.26"):
        ready.versions()


def test_data_threads_training_and_memory(capsys, monkeypatch, tmp_path):
    broken = tmp_path / "mnist.npz"
    broken.write_bytes(b"half of it")
    load = bnlib.load_mnist
    monkeypatch.setattr(bnlib, "load_mnist", lambda **kwargs: load(path=broken, **kwargs))
    monkeypatch.setattr(bnlib, "training_blas_threads", lambda: 4)
    monkeypatch.setattr(ready, "free_memory", lambda: 0.3)
    code, lines = answers(capsys)
    assert code == 1 and _wrong(lines.values()) == 5
    assert "get bnlib anew" in lines["data"]
    assert (
        "4 threads" in lines["BLAS threads"] and "OPENBLAS_NUM_THREADS=1" in lines["BLAS threads"]
    )
    assert "DataError" in lines["training"], "what a question does not foresee is told as well"
    assert "0.3 GB are free" in lines["memory"]


def test_what_cannot_be_known_is_no_fault(monkeypatch):
    monkeypatch.setattr(ready, "free_memory", lambda: None)
    assert "cannot be known" in ready.memory()
    monkeypatch.setattr(bnlib, "training_blas_threads", lambda: None)
    assert "does not say" in ready.threads()


def test_memory_is_measured():
    assert 0 < ready.free_memory() < 100_000
