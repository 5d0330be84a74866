"""For those who see little, or colours differently: contrast, palette, themes."""

from itertools import combinations

import pytest
from contrast import GRAPHICS, TEXT, VISIONS, difference, faint, needs_its_theme, ratio
from matplotlib import pyplot as plt

from bnlib import exercises, figures
from bnlib.claims import ledger
from bnlib.exercises.engine.card import HEADLINES, Result

APART = 20  # Delta E, nine times what is just noticeable: lines are thin and far from each other


def test_the_contrast_is_that_of_wcag():
    assert ratio("black") == pytest.approx(21) and ratio("white") == 1
    assert ratio("#767676") > TEXT > ratio("#777777")  # the well-known last grey


def test_the_simulation_takes_away_what_it_should():
    """Greys stay; a deuteranope hardly tells these two apart, whose difference is red and green."""
    assert difference("#555555", "#999999", "protanopia") == pytest.approx(
        difference("#555555", "#999999"), rel=0.01
    )
    assert difference("#cc0000", "#737300") > 60
    assert difference("#cc0000", "#737300", "deuteranopia") < 15


@pytest.mark.parametrize("name", figures.COLORS)
def test_the_palette_stands_out_on_white(name):
    assert ratio(figures.COLORS[name]) >= GRAPHICS
    assert ratio(figures.INK[name]) >= TEXT


@pytest.mark.parametrize("vision", VISIONS)
def test_what_cannot_be_told_apart_by_colour_differs_in_its_line(vision):
    close = [
        (a, b)
        for a, b in combinations(figures.COLORS, 2)
        if difference(figures.COLORS[a], figures.COLORS[b], vision) < APART
    ]
    for a, b in close:
        assert figures.STYLES[a] != figures.STYLES[b], (a, b)
        assert {figures.STYLES[a], figures.STYLES[b]} != {":", (0, (1, 1))}, "both are dotted"
    # What most figures compare, and what stands beside it, need no second look.
    assert not any({a, b} <= {"without BN", "with BN", "theory", "data"} for a, b in close)


def test_faint_text_and_lines_are_found():
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], color=figures.COLORS["with BN"], alpha=0.4)
    ax.plot([0, 1], [1, 0], color="0.5")
    ax.grid(color="0.9")
    ax.axvspan(0.4, 0.6, color="0.2")
    ax.text(0.5, 0.5, "on black", ha="center")
    ax.text(0.1, 0.9, "grey", color="0.5")
    found = " ".join(faint(fig))
    plt.close(fig)
    assert "'on black'" in found and "'grey'" in found and found.count(" to 1") == 3
    assert "#0072B2" in found


def test_cards_and_tables_are_readable_in_a_light_and_in_a_dark_theme():
    cards = [Result("standardize", outcome, "Look at `x`.") for outcome in HEADLINES]
    exercise = exercises.standardize
    shown = [exercises.report(), ledger(), *cards, exercise.hint(1), exercise.solution()]
    for card in shown:
        if hasattr(card, "_repr_mimebundle_"):
            html = card._repr_mimebundle_()["text/html"]
        else:
            html = card._repr_html_()
        assert list(needs_its_theme(html)) == [], html[:200]


@pytest.mark.parametrize(
    "style", ["color:black", "background:#fff3b0; color:#bbaa00", "background:white"]
)
def test_a_colour_for_one_theme_is_found(style):
    assert len(list(needs_its_theme(f'<p style="{style}">text</p>'))) == 1
