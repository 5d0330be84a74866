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
    """The exit code, and the line to each question."""
    code = main(["ready"])
    *lines, last = capsys.readouterr().out.splitlines()
    wrong = sum(line.startswith("MEND  ") for line in lines)
    assert last == (f"Not ready: {wrong} of 6 have to be mended." if code else "Ready.")
    assert bool(wrong) == code and wrong + sum(line.startswith("ok    ") for line in lines) == 6
    return code, {line[6:].partition(": ")[0]: line for line in lines}


def test_a_machine_that_is_ready(capsys):
    assert 0 < ready.free_memory() < 100_000
    code, lines = answers(capsys)
    assert code == 0, lines
    assert "numpy 2" in lines["versions"] and "jupyterlab 4" in lines["versions"]
    assert "60,000 and 10,000 images" in lines["data"]
    assert "steps a second" in lines["training"]
    assert "kB" in lines["widget"]
    assert "GB are free: room for" in lines["memory"]


def test_what_is_wrong_is_told_with_its_remedy(capsys, monkeypatch, tmp_path):
    real = importlib.metadata.version

    def version(name):
        if name == "ipykernel":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.26.4" if name == "numpy" else real(name)

    broken = tmp_path / "mnist.npz"
    broken.write_bytes(b"half of it")
    load = bnlib.load_mnist
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(bnlib, "load_mnist", lambda **kwargs: load(path=broken, **kwargs))
    monkeypatch.setattr(bnlib, "training_blas_threads", lambda: 4)
    monkeypatch.setattr(ready, "free_memory", lambda: 0.3)
    code, lines = answers(capsys)
    assert code == 1 and all(line.startswith("MEND") for line in lines.values())
    assert "numpy is 1.26.4, expected <3,>=2.0" in lines["versions"]
    assert "ipykernel is not installed, expected ipykernel<8,>=6.29" in lines["versions"]
    assert lines["versions"].endswith("->  in bnlib's folder: pip install -r requirements.txt")
    assert "get bnlib anew" in lines["data"]
    assert "4 threads" in lines["BLAS threads"] and "=1" in lines["BLAS threads"]
    assert lines["training"].endswith("MNIST cannot be loaded  ->  see data, above")
    assert "0.3 GB are free" in lines["memory"]


def test_what_a_question_does_not_foresee_is_told_as_well(capsys, monkeypatch):
    monkeypatch.setitem(ready.QUESTIONS, "widget", lambda: 1 / 0)
    code, lines = answers(capsys)
    assert code == 1
    assert lines["widget"].startswith("MEND  widget: ZeroDivisionError: division by zero  ->  ")


def test_its_ranges_are_those_of_the_requirements_and_unknown_threads_no_fault(root, monkeypatch):
    assert {*ready.NOTEBOOKS_NEED} <= {*(root / "requirements.txt").read_text().splitlines()}
    monkeypatch.setattr(bnlib, "training_blas_threads", lambda: None)
    assert "does not say" in ready.threads()
