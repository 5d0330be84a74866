"""Controls whose name and value stand in visible text: a slider's handle has no accessible name."""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np


def slider(
    label: str,
    value: float,
    low: float,
    high: float,
    step: float | None = None,
    width: int = 280,
    **kwargs,
) -> widgets.Widget:
    """A slider with its name and value in visible text; whole numbers give an IntSlider."""
    whole = all(isinstance(v, int | np.integer) for v in (value, low, high, step or 1))
    make = widgets.IntSlider if whole else widgets.FloatSlider
    step = step or (1 if whole else (high - low) / 50)
    return make(value, min=low, max=high, step=step, description=label, **_look(width), **kwargs)


def choices(label: str, options, value, width: int = 280, **kwargs) -> widgets.SelectionSlider:
    """A slider over a list of values (learning rates, batch sizes), the value in visible text."""
    return widgets.SelectionSlider(
        options=options, value=value, description=label, **_look(width), **kwargs
    )


def menu(label: str, options, value, width: int = 210, **kwargs) -> widgets.Dropdown:
    """A drop-down menu with its name in visible text."""
    return widgets.Dropdown(
        options=options, value=value, description=label, **_look(width), **kwargs
    )


def checkbox(label: str, value: bool = False, width: int = 200, **kwargs) -> widgets.Checkbox:
    """A check box with its name in visible text."""
    return widgets.Checkbox(
        value=value,
        description=label,
        indent=False,
        layout=widgets.Layout(width=f"{width}px"),
        **kwargs,
    )


def _look(width: int) -> dict:
    return {
        "style": {"description_width": "initial"},
        "layout": widgets.Layout(width=f"{width}px", margin="2px 10px 2px 2px"),
    }
