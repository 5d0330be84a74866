"""What gets installed: ranges, the Binder lock, imports; and that the tree is clean."""

import importlib.metadata
import os
import re
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
BINDER = ROOT / "binder"


def lines(path):
    text = path.read_text(encoding="utf-8")
    stripped = [line.split("#")[0].strip() for line in text.splitlines()]
    return [line for line in stripped if line]


def ranges():
    return [Requirement(line) for line in lines(ROOT / "requirements.txt") if line != "-e ."]


def lock():
    """{canonical name: Version} of the Binder lock."""
    pinned = [Requirement(line) for line in lines(BINDER / "requirements.txt")]
    return {
        canonicalize_name(req.name): Version(next(iter(req.specifier)).version) for req in pinned
    }


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# --- ranges -------------------------------------------------------------------------------------


def test_requirements_are_ranges_with_a_floor_and_a_cap_and_the_package():
    assert lines(ROOT / "requirements.txt").count("-e .") == 1
    for req in ranges():
        operators = {spec.operator for spec in req.specifier}
        assert operators == {">=", "<"}, f"{req}: expected >= and <"


def test_package_and_requirements_agree(project):
    development = {canonicalize_name(req.name): req for req in ranges()}
    for req in map(Requirement, project["dependencies"]):
        assert development[canonicalize_name(req.name)].specifier == req.specifier, req


def test_the_installed_versions_are_in_the_ranges(project):
    for req in ranges():
        installed = importlib.metadata.version(req.name)
        assert req.specifier.contains(installed, prereleases=True), f"{req}, installed {installed}"
    assert Requirement(f"python{project['requires-python']}").specifier.contains(
        ".".join(map(str, sys.version_info[:3]))
    )


# --- Binder -------------------------------------------------------------------------------------


def test_lock_has_only_exact_versions():
    """-r and -e lines defeat Binder's cache; hashes and indexes tie it to one registry."""
    for line in lines(BINDER / "requirements.txt"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line), line
    assert not any(version.local for version in lock().values())


def test_lock_satisfies_the_ranges():
    locked = lock()
    assert "jupyter-offlinenotebook" in locked  # so that students can save
    for req in ranges():
        name = canonicalize_name(req.name)
        assert name in locked, f"{req} is not in the lock"
        assert req.specifier.contains(locked[name]), f"{req}, locked {locked[name]}"


def test_binder_python_is_one_we_support(project):
    text = (BINDER / "runtime.txt").read_text(encoding="utf-8")
    version = re.fullmatch(r"python-(3\.\d+)\n", text)
    assert version, text
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version[1])


def test_binder_folder_holds_what_repo2docker_reads():
    """With a binder/ folder, root files are ignored: all it needs must be in there."""
    known = {"runtime.txt", "requirements.txt", "postBuild", "start"}
    assert {path.name for path in BINDER.iterdir()} == known


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binder_scripts_are_executable_bash(name):
    path = BINDER / name
    assert path.stat().st_mode & stat.S_IXUSR, f"chmod +x binder/{name}"
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)
    # The lock has brought the dependencies; a second resolver could change versions.
    assert "pip install --no-deps -e ." in lines(BINDER / "postBuild")


def test_start_runs_the_command_with_one_blas_thread():
    program = "import os; print(*(v for k, v in sorted(os.environ.items()) if 'NUM_THREADS' in k))"
    clean = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    command = [BINDER / "start", sys.executable, "-c", program]
    run = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "1", "1"]
    assert lines(BINDER / "start")[-1] == 'exec "$@"'


# --- importing ----------------------------------------------------------------------------------


def test_numerics_import_no_plotting_and_no_widgets_read_no_data_and_need_no_network():
    program = (
        "import socket, sys\n"
        "def no(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = no\n"
        "import bnlib, bnlib.functional, bnlib.training, bnlib.recording, bnlib.figures\n"
        "print(*sorted(sys.modules))\n"
        "bnlib.load_mnist(n_train=1, n_test=1)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True
    )
    heavy = {"matplotlib", "matplotlib.pyplot", "ipywidgets", "IPython", "torch", "distributed"}
    loaded = set(run.stdout.split())
    assert not loaded & heavy and "numpy" in loaded


# --- the tree -----------------------------------------------------------------------------------


def tree():
    """The files that are or would be committed (all but hidden ones, without git)."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in ROOT.rglob("*") if not any(part[0] == "." for part in p.parts[1:])]
    return [path for path in paths if path.is_file()]


def texts():
    for path in tree():
        content = path.read_bytes()
        if b"\0" not in content[:8000]:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def private_words():
    """What would give away this machine: its folders and, if it is not a common word, its name."""
    words = [str(ROOT), sys.prefix, str(Path.home())]
    host = socket.gethostname()
    words += [host] if len(host) > 8 else []
    return [word for word in words if len(word) > 4]


def test_no_private_paths():
    words = "|".join(re.escape(word) + r"(?![\w.])" for word in private_words())
    home = r"(?<![\w.])/(?:home|Users)/[a-z]\w*/"
    private = re.compile(f"{words}|{home}")
    found = [
        f"{name}: {match.group()}"
        for name, text in texts()
        if name not in ("tests/test_environment.py", "tests/notebooks/test_notebooks.py")
        for match in private.finditer(text)
    ]
    assert not found, found


def test_no_registry_addresses_and_no_junk():
    """Packages are named, never fetched from a named server: that is the user's setting."""
    registry = re.compile(
        r"(?:--(?:extra-)?index-url|--find-links|--registry)\b|https?://(?:\w+\.)?"
        r"(?:pypi\.org/simple|files\.pythonhosted|registry\.npmjs)"
    )
    own = "tests/test_environment.py"
    assert not [name for name, text in texts() if name != own and registry.search(text)]
    junk = re.compile(r"\.(pyc|orig|rej|tmp|swp|log)$|\.ipynb_checkpoints|\.hypothesis|egg-info")
    assert not [path for path in tree() if junk.search(path.as_posix())]


def test_the_wheel_would_hold_the_data(project):
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    assert build["build"]["targets"]["wheel"]["packages"] == ["bnlib"]
    ignored = subprocess.run(
        ["git", "check-ignore", "bnlib/data/mnist.npz"], cwd=ROOT, capture_output=True, check=False
    )
    assert ignored.returncode != 0, "an ignored file is left out of the wheel"
