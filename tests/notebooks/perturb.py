"""Would the stored outputs hold on another processor? Run notebooks with slightly other weights.

    python tests/notebooks/perturb.py notebooks/05_*.ipynb
    python tests/notebooks/perturb.py --times 5              all of notebooks/

Another processor rounds differently, and training can magnify a difference in the 16th digit until
it shows. So each run changes all initial weights of Dense and Conv2d by a few units in the last
place, equal weights equally, and compares every output with the stored one, as `pytest` does. What
fails here will fail on somebody's machine: print fewer digits, or a claim that holds by a margin.
Not part of `pytest`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
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


def run(paths, k):
    """pytest on the notebooks with perturbation number ``k``; returns its exit status."""
    with tempfile.TemporaryDirectory(prefix="bnlib-perturb-") as folder:
        startup = Path(folder) / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-perturb.py").write_text(STARTUP.replace("{k}", str(k)))
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml")]
        environment = os.environ | {"IPYTHONDIR": folder}
        return subprocess.run([*command, *map(str, paths)], env=environment, cwd=ROOT).returncode


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--times", type=int, default=3, help="how many perturbations to try")
    args = parser.parse_args(argv)
    everything = sorted((ROOT / "notebooks").glob("*.ipynb"))
    paths = [path.resolve() for path in args.notebooks] or everything
    return max(run(paths, k) for k in range(1, args.times + 1))


if __name__ == "__main__":
    sys.exit(main())
