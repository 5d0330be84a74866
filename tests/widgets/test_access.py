"""What a widget says to people who do not see its picture, or see it badly.

That all of it can be reached and changed by the keyboard: tests/browser.
"""

import html
import re

import ipywidgets
import pytest
from browser.conftest import SETUP, WIDGETS
from contrast import faint, needs_its_theme

from bnlib.figures import style
from bnlib.widgets import Film

# Not the 300 steps of a lesson: its controls train anew.
SHORT = {"DistributionExplorer": "DistributionExplorer(data, steps=20, frames=5, width=8)"}
# The same things, seen from elsewhere; the same norm, which has no groups.
SAYS_NO_MORE = {("ProjectionExplorer", "turn"), ("NormExplorer", "groups")}


@pytest.fixture(scope="module")
def make():
    names = {}
    exec(SETUP, names)
    return lambda name: eval(SHORT.get(name, WIDGETS[name]), names)


def alt(value):
    """The alt text of the picture in a widget's HTML."""
    [found] = re.findall(r'<img class="bnlib-picture" alt="([^"]*)"', value)
    return html.unescape(found)


def has_content(sentence):
    """A sentence of several words with a number."""
    return len(sentence.split()) >= 8 and re.search(r"\d", sentence) and sentence.endswith(".")


def other_values(control):
    """Two values that a hand on the control could choose."""
    if hasattr(control, "options"):
        values = dict.fromkeys(value for _, value in control._options_full)
    elif hasattr(control, "min"):
        values = (control.min, control.max)
    else:
        values = (True, False)
    return [value for value in values if value != control.value][:2]


@pytest.mark.parametrize("name", WIDGETS)
def test_the_alt_text_says_what_the_picture_shows_after_every_change(make, name):
    widget = make(name)
    assert has_content(widget.sentence), widget.sentence
    assert len(widget.summary().split()) >= 8 and widget.summary().endswith(".")
    if isinstance(widget, Film):
        alts = [alt(page.value) for page in widget.stack.children]
        assert all(map(has_content, alts)), alts
        assert len(set(alts)) == len(alts)  # one a frame
        assert [a.split(" of ")[0].lower() for a in alts] == [
            label.replace(",", "") for label in widget.labels
        ]
    for key, control in widget.controls.items():
        if not control.has_trait("value"):
            continue
        said = {widget.sentence}
        start, others = control.value, other_values(control)
        assert others, key
        for value in others:
            control.value = value
            assert has_content(widget.sentence), (key, value, widget.sentence)
            said.add(widget.sentence)
        control.value = start
        assert (len(said) == 1 + len(others)) != ((name, key) in SAYS_NO_MORE), (key, said)


@pytest.mark.parametrize("name", WIDGETS)
def test_text_and_lines_stand_out_and_every_colour_has_its_ground(make, name):
    widget = make(name)
    with style():
        assert list(faint(widget.figure)) == []
    widget.show_error(ValueError("of which the message is shown"))
    for part in parts(widget):
        if isinstance(part, ipywidgets.HTML):
            assert list(needs_its_theme(part.value)) == []


def parts(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


@pytest.mark.parametrize("name", WIDGETS)
def test_every_control_has_a_name_of_its_own_and_a_value_in_words(make, name):
    widget = make(name)
    names = [c.description.strip() for c in widget.controls.values()]
    if isinstance(widget, Film):
        names.append(widget.slider.description)
        assert all(re.search("[a-z]+ [0-9]", label) for label in widget.labels)
    assert all(names) and len(set(names)) == len(names)
