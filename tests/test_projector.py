"""Projector mode as the kernel has it; what it looks like: tests/browser/test_access.py."""

import os
import subprocess
import sys

import nbformat
from nbclient import NotebookClient

IMPORT = "import bnlib\nbnlib.use_one_blas_thread()"


def outputs(sources, **environment):
    """The text of all outputs of a notebook with these cells, a list a cell."""
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    client = NotebookClient(nb, timeout=60, kernel_name="python3")
    clean = {k: v for k, v in os.environ.items() if k != "BNLIB_PROJECTOR"}
    client.execute(env=clean | environment)
    return [[output.data for output in cell.outputs] for cell in nb.cells]


def test_without_it_a_notebook_has_no_output_more():
    assert outputs([IMPORT], BNLIB_PROJECTOR="0") == [[]]


def test_the_environment_switches_it_on_once_and_a_line_off():
    [[on], [], [off]] = outputs(
        [IMPORT, "import bnlib", "bnlib.use_projector(False)"], BNLIB_PROJECTOR="1"
    )
    assert "Projector mode is on" in on["text/plain"] and "use_projector(False)" in on["text/plain"]
    assert ".bnlib-widget { zoom: 1.25; }" in on["text/html"]
    assert "Projector mode is off" in off["text/plain"] and "zoom" not in off["text/html"]


def test_a_program_sees_nothing_of_it():
    code = "import bnlib; bnlib.use_projector(); import IPython; bnlib.use_projector()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"BNLIB_PROJECTOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == run.stderr == ""
