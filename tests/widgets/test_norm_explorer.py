"""NormExplorer: which numbers light up, and that they are those the norms of bnlib use."""

import numpy as np
import pytest

from bnlib import functional
from bnlib.widgets import NormExplorer
from bnlib.widgets.norm_explorer import sharing

x = np.random.default_rng(0).normal(2, 3, (3, 6, 4, 5))
ONE, ZERO = np.ones(6), np.zeros(6)
NORMS = {
    "BN": lambda x: functional.batch_norm(x, ONE, ZERO, 0.0)[0],
    "LN": lambda x: functional.group_norm(x, 1, ONE, ZERO, 0.0)[0],
    "IN": lambda x: functional.instance_norm(x, ONE, ZERO, 0.0)[0],
    "GN": lambda x: functional.group_norm(x, 3, ONE, ZERO, 0.0)[0],
    "RMSNorm": lambda x: functional.rms_norm(x, np.ones(x.shape[1:]), 0.0)[0],
}


@pytest.mark.parametrize("norm", NORMS)
def test_what_lights_up_is_what_the_norm_depends_on(norm):
    """Changing one number changes the outputs that share its statistics, and no others."""
    changed = x.copy()
    changed[1, 2, 3, 0] += 1
    moved = (NORMS[norm](changed) != NORMS[norm](x)).any(axis=(2, 3))
    lit = np.zeros((3, 6), bool)
    lit[sharing(norm, x.shape, 1, 2, 3)] = True
    np.testing.assert_array_equal(moved, lit)


@pytest.mark.parametrize(
    "norm, says",
    [
        ("BN", "60 numbers of 3 maps of 3 examples"),
        ("IN", "20 numbers of 1 map of 1 example"),
        ("GN", "GN with 3 groups: example 1, channel 5 is normalised by the 40 numbers of 2 maps"),
        ("RMSNorm", f"rms {np.sqrt((x[1] ** 2).mean()):.2f}"),
        ("LN", f"mean {x[1].mean():.2f}, std {x[1].std():.2f}"),
    ],
)
def test_the_sentence_has_the_numbers(norm, says):
    widget = NormExplorer(x)
    for name, value in {"norm": norm, "groups": 3, "example": 1, "channel": 5}.items():
        widget.controls[name].value = value
    assert says in widget.sentence, widget.sentence
    assert widget.sentence.startswith(widget.summary()[:-1])


@pytest.mark.parametrize("shape", [(3, 6), (3, 9, 4, 4)])
def test_other_shapes_are_refused_in_words(shape):
    with pytest.raises(ValueError, match=r"expected x of shape \(N, C, H, W\)"):
        NormExplorer(np.zeros(shape))


def test_what_a_diverged_network_leaves_is_refused_in_words():
    with pytest.raises(ValueError, match=r"finite x, got 1 numbers.* diverged"):
        NormExplorer(np.where(x == x.max(), np.inf, x))
