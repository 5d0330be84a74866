"""Exercises in which the learner writes a layer: make one, or say what the class lacks."""

from __future__ import annotations

import numpy as np

from bnlib.layers import Layer

from .function import does_nothing


def is_empty(layer_class: type) -> bool:
    """True for the stub: its forward does nothing yet."""
    return does_nothing(getattr(layer_class, "forward", layer_class))


def made(layer_class: type, base: type, to_super: str, *args) -> Layer:
    """layer_class(*args). Raises an error that says so if it does not build on base.

    to_super: what the __init__ of base is to be given.
    """
    layer = layer_class(*args)
    if not isinstance(layer, base):
        raise TypeError(
            "a network takes layers: does your class start with "
            f"`class {layer_class.__name__}({base.__name__})`?"
        )
    if not hasattr(layer, "training"):
        raise AttributeError(
            "after __init__ the layer has no self.training, which a network sets and a forward "
            f"reads. {base.__name__}.__init__ makes it: does your __init__ start with "
            f"`super().__init__({to_super})`?"
        )
    return layer


def copied(value: object, call: str) -> object:
    """A copy of what a call of the layer returned. Raises TypeError if that is None."""
    if value is None:
        raise TypeError(f"{call} returned None: does each way through it end with a return?")
    return value.copy() if isinstance(value, np.ndarray) else value
