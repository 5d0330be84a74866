"""What `import bnlib` costs beyond NumPy: the best of nine fresh processes, at most 0.15 s.

Processor time, so that other work on the machine does not count.
"""

import subprocess
import sys

LIMIT = 0.15
PROGRAM = """
import time, numpy
start = time.process_time()
import bnlib
print(time.process_time() - start)
"""

runs = [
    float(subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout)
    for _ in range(9)
]
print(f"import bnlib: {min(runs):.3f} s beyond NumPy (at most {LIMIT} s)")
sys.exit(0 if min(runs) <= LIMIT else "import bnlib is too slow: what does it import?")
