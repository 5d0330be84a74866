"""How a check works. The exercises themselves are the files n01_... to n13_... beside this folder.

exercise.py is the place to start: `Exercise.check`, step by step.
"""

from .compare import Case
from .exercise import Exercise
from .mistakes import Mistake
from .probes import Probe

__all__ = ["Case", "Exercise", "Mistake", "Probe"]
