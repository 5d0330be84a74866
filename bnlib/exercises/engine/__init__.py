"""How a check works. The exercises themselves are the files n01_... to n13_... beside this folder.

exercise.py is the place to start: `Exercise.check`, step by step.
"""

from .catalogue import Mistake
from .exercise import Exercise
from .probes import Probe

__all__ = ["Exercise", "Mistake", "Probe"]
