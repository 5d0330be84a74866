"""The emulated older CPU of .ci/run: what to switch off, and whether that took effect.

python .ci/cpu.py newer    the values for NPY_DISABLE_CPU_FEATURES that this CPU has
python .ci/cpu.py check    exit 1 unless NumPy and OpenBLAS obey the environment
"""

import os
import sys

import numpy as np
from threadpoolctl import threadpool_info

MATH = np._core._multiarray_umath
# OpenBLAS has one set of kernels for all of these, and reports the first name of the list.
OLD_CORES = {"Katmai", "Coppermine", "Northwood", "Prescott", "Banias"}


def newer():
    """The instruction sets that NumPy has code for beyond its baseline, and that this CPU has."""
    return [name for name in MATH.__cpu_dispatch__ if MATH.__cpu_features__[name]]


def openblas_core():
    """The kernels that the OpenBLAS of this NumPy has chosen."""
    found = [lib["architecture"] for lib in threadpool_info() if lib["internal_api"] == "openblas"]
    return found[0] if found else sys.exit(".ci/cpu.py: found no OpenBLAS in this NumPy")


def main(action):
    if action == "newer":
        names = newer()
        if not names:
            sys.exit(".ci/cpu.py: this CPU has nothing newer than NumPy's baseline to switch off")
        print(*names)
    elif action == "check":
        off = os.environ["NPY_DISABLE_CPU_FEATURES"].split()
        core = openblas_core()
        left = newer()
        print(f"OpenBLAS core {core}, NumPy without {' '.join(off)}")
        if not off or left or core not in OLD_CORES:
            sys.exit(f".ci/cpu.py: not emulated: NumPy still uses {left}, OpenBLAS {core}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
