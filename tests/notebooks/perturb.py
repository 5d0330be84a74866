"""Would the stored outputs hold on another processor? Run notebooks with slightly other weights.

    python tests/notebooks/perturb.py notebooks/08_*.ipynb
    python tests/notebooks/perturb.py --times 1              all of notebooks/, as .ci/run does

Another processor rounds differently, and training can magnify a difference in the 16th digit until
it shows. So each run changes all initial weights of Dense and Conv2d by a few units in the last
place, equal weights equally, and compares every output with the stored one, as `pytest` does. What
fails here will fail on somebody's machine: print fewer digits, or a claim that holds by a margin.
One line for each run, with all of pytest's output where it failed. Two at a time. Not part of
`pytest`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# IPython runs this in every kernel before the first cell.
STARTUP = """
def _perturb(k):
    import numpy as np
    from bnlib import convolution, layers

    def perturbed(init):
        def __init__(self, *args, **kwargs):
            init(self, *args, **kwargs)
            w = self.params["weight"]
            size = 16 * np.finfo(w.dtype).eps
            w *= (1 + size * np.sin(1e4 * w * (1 + k / 7) + k)).astype(w.dtype)
        return __init__

    for layer in (layers.Dense, convolution.Conv2d):
        layer.__init__ = perturbed(layer.__init__)

_perturb({k})
del _perturb
"""


def run(path, k):
    """pytest on one notebook with perturbation number ``k``: whether it passed, and what to say."""
    with tempfile.TemporaryDirectory(prefix="bnlib-perturb-") as folder:
        startup = Path(folder) / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-perturb.py").write_text(STARTUP.replace("{k}", str(k)))
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-c", ROOT / "pyproject.toml"]
        environment = os.environ | {"IPYTHONDIR": folder}
        done = subprocess.run(
            [*map(str, command), str(path)],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    passed = done.returncode == 0
    last = (done.stdout.splitlines() or ["pytest said nothing"])[-1].strip("= ")
    return passed, f"{path.name}, perturbation {k}: {last if passed else done.stdout}"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--times", type=int, default=3, help="how many perturbations to try")
    args = parser.parse_args(argv)
    everything = sorted((ROOT / "notebooks").glob("*.ipynb"))
    paths = [path.resolve() for path in args.notebooks] or everything
    tasks = [(path, k) for path in paths for k in range(1, args.times + 1)]
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for passed, line in pool.map(lambda task: run(*task), tasks):
            print(line, flush=True)
            failed += not passed
    print(f"{len(tasks) - failed} passed, {failed} failed: runs with slightly other weights")
    return 1 if failed or not tasks else 0


if __name__ == "__main__":
    sys.exit(main())
