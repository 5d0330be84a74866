"""Controls with name and value in visible text. `front.js` gives them to screen readers as well."""

from __future__ import annotations

from collections.abc import Iterable

import ipywidgets as widgets
import numpy as np

from bnlib.figures.format import setting


def slider(
    label: str, value: float, low: float, high: float, step: float | None = None, width: int = 280
) -> widgets.Widget:
    """A slider with its name and value in visible text; whole numbers give an IntSlider."""
    whole = all(isinstance(v, int | np.integer) for v in (value, low, high, step or 1))
    make = widgets.IntSlider if whole else widgets.FloatSlider
    step = step or (1 if whole else (high - low) / 50)
    return make(value, min=low, max=high, step=step, description=label, **_look(width))


def choices(label: str, options: Iterable, value, width: int = 280) -> widgets.SelectionSlider:
    """A slider over a list of values, to be dragged through; options as in `menu`."""
    return widgets.SelectionSlider(**_select(label, options, value, width))


def menu(label: str, options: Iterable, value, width: int = 210) -> widgets.Dropdown:
    """A drop-down menu with its name in visible text; numbers are written as `setting` does.

    options : values, or pairs (text, value), or a dict text -> value. A number that is not among
    plain numbers is put in its place. Raises ValueError for another value that is no option.
    """
    return widgets.Dropdown(**_select(label, options, value, width))


def checkbox(label: str, value: bool = False, width: int = 200) -> widgets.Checkbox:
    """A check box with its name in visible text."""
    layout = widgets.Layout(width=f"{width}px")
    return widgets.Checkbox(value=value, description=label, indent=False, layout=layout)


def _select(label: str, options: Iterable, value, width: int) -> dict:
    options = list(options.items()) if isinstance(options, dict) else list(options)
    if not any(isinstance(option, tuple) for option in options):
        if value not in options and isinstance(value, int | float | np.number):
            options = sorted([*options, value])
        options = [(o if isinstance(o, str) else setting(o), o) for o in options]
    if value not in (known := [o for _, o in options]):
        raise ValueError(f"{label} expected one of {known}, got {value!r}")
    return {"options": options, "value": value, "description": label, **_look(width)}


def _look(width: int) -> dict:
    return {
        "style": {"description_width": "initial"},
        "layout": widgets.Layout(width=f"{width}px", margin="2px 10px 2px 2px"),
    }
