"""bnlib's formulas of each library's convention, against the libraries' own frozen numbers."""

import dataclasses

import numpy as np
import pytest

from bnlib import BatchNorm
from bnlib.conventions import FROZEN, MEANINGS, conventions


@pytest.mark.parametrize("library", MEANINGS)
def test_a_convention_gives_the_library_s_numbers(library):
    found = conventions()[library]
    assert found.largest_difference() < 2e-6  # float32
    assert found.version[0].isdigit() and len(found.names) == 4


@pytest.mark.parametrize("library", MEANINGS)
def test_the_other_convention_does_not(library):
    found = conventions()[library]
    weighs = {"new": "old", "old": "new"}[found.weighs]
    divisor = {"N": "N - 1", "N - 1": "N"}[found.divisor]
    for other in ({"weighs": weighs}, {"divisor": divisor}, {"eps": 1e-2}):
        assert dataclasses.replace(found, **other).largest_difference() > 1e-4


def test_the_defaults():
    found = {name: (c.momentum, c.eps, c.axis) for name, c in conventions().items()}
    wanted = {
        "pytorch": (0.1, 1e-5, 1),
        "keras": (0.99, 1e-3, -1),
        "flax": (0.99, 1e-5, -1),
        "onnx": (0.9, 1e-5, 1),
    }
    for library, values in wanted.items():
        np.testing.assert_allclose(found[library], values, rtol=1e-6)


def test_batchnorm_is_pytorch_s():
    pytorch = conventions()["pytorch"]
    layer = BatchNorm(3)
    assert (layer.momentum, layer.eps) == (pytorch.momentum, pytorch.eps)
    assert tuple(layer.state_dict())[:4] == pytorch.names
    with np.load(FROZEN) as frozen:
        layer.forward(frozen["x"].astype(np.float64))
        np.testing.assert_allclose(layer.running_var, frozen["pytorch var"], rtol=1e-6)
