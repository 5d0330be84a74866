"""For every pytest run, also of one notebook alone: one BLAS thread, in nbval's kernels too.

These matrices are small, and a second thread can stall for longer than it computes.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
