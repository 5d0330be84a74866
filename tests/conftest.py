"""What every test shares: `require` for optional legs, the data, a browser, Hypothesis settings.

A leg is something a machine may lack (Chromium, another Python). A developer without it gets a
skip; continuous integration sets BNLIB_REQUIRE_ALL=1, and then every skip is a failure.
"""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import hypothesis.configuration
import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("BNLIB_REQUIRE_ALL") == "1"

# The same examples on every run, and no .hypothesis folder in the tree.
hypothesis.configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "bnlib-hypothesis")
hypothesis.settings.register_profile(
    "bnlib", database=None, derandomize=True, deadline=None, print_blob=False
)
hypothesis.settings.load_profile("bnlib")


@pytest.fixture(scope="session")
def root():
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def require():
    """require(leg, available, why): go on if available, else skip; with BNLIB_REQUIRE_ALL, fail."""

    def require(leg, available, why):
        if available:
            return
        if REQUIRE_ALL:
            pytest.fail(f"BNLIB_REQUIRE_ALL is set and {leg} could not run: {why}", pytrace=False)
        pytest.skip(f"{leg}: {why}")

    return require


@pytest.fixture(scope="session")
def mnist():
    """All of MNIST, gray, flat; read-only, so that one copy serves every test."""
    from bnlib.data import load_mnist

    return load_mnist()


@pytest.fixture(scope="session")
def recordings():
    """Of two small networks, for figures: "without BN" and "with BN"."""
    from bnlib import Recorder, compare, load_mnist, mlp

    data = load_mnist(pool=True, n_train=300, n_test=100)
    norms = {"without BN": None, "with BN": "batch"}
    networks = {name: mlp([data.num_features, 8, 6, 10], norm) for name, norm in norms.items()}
    recorder = Recorder(data, 5, eval_size=100, channels=4)
    runs = compare(networks, data, 20, 0.1, 16, recorder=recorder)
    return {name: run.recording for name, run in runs.items()}


@pytest.fixture(scope="session")
def chromium_path(require):
    """Path of a Chromium or Chrome; give Playwright `chromium_args` too."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = os.environ.get("BNLIB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    require("the browser tests", path, "no Chromium on PATH (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def chromium_args():
    """Command-line flags: no sandbox for root (as in a container), no shared-memory file."""
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ["--disable-dev-shm-usage", "--disable-gpu", *(["--no-sandbox"] if as_root else [])]


_skips = []


def pytest_runtest_logreport(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        _skips.append(report.nodeid)


pytest_collectreport = pytest_runtest_logreport


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if REQUIRE_ALL and _skips and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if REQUIRE_ALL and _skips:
        terminalreporter.section("skipped although BNLIB_REQUIRE_ALL=1", red=True)
        for nodeid in _skips:
            terminalreporter.line(nodeid)
