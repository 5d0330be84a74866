"""For every pytest run: one BLAS thread in the tests' own process, however busy the machine is.

Nothing is said to the processes that tests start, notebooks' kernels among them: they have to
set it themselves, as a reader's do.
"""

import numpy  # noqa: F401 (before threadpoolctl looks for its BLAS)
import threadpoolctl

threadpoolctl.threadpool_limits(1, user_api="blas")
