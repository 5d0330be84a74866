"""Projector mode: a notebook that can be read from the last row of a class room.

It is a style sheet for JupyterLab, and nothing else: no figure is drawn anew and no other output
changes, so it works on what is already there, and a notebook's stored outputs stay comparable.
"""

from __future__ import annotations

import json
import os
import sys

# For a page of 1280 x 720, of which JupyterLab leaves a notebook some 1100 x 600. A widget is at
# most 900 x 480, its text 12 pt: enlarged by 1.25 it fits. Plain figures may take all the width.
# The code that makes a widget is folded to its first line, and unfolds at a click.
CSS = """
.jp-Notebook { --jp-content-font-size1: 20px; --jp-code-font-size: 18px; }
.jp-Notebook .jp-RenderedHTMLCommon table { font-size: 18px; }
.jp-Notebook :is(.jp-InputPrompt, .jp-OutputPrompt) { font-size: 14px; }
.jp-Notebook .jp-RenderedHTML > img { zoom: 1.4; }
.jp-Notebook .bnlib-widget { zoom: 1.25; }
.jp-Notebook .jp-CodeCell:has(.bnlib-widget) .jp-InputArea-editor:not(:focus-within) {
  max-height: 34px; overflow: hidden; }
"""
SCRIPT = """<script>(() => {
  const id = "bnlib-projector";
  const sheet = document.getElementById(id) ?? document.createElement("style");
  sheet.id = id; sheet.textContent = %s;
  document.head.append(sheet);
})()</script>"""


def use_projector(on: bool = True) -> None:
    """Projector mode for all notebooks of this browser window, until its page is loaded anew.

    Prose, cards and widgets are then in 15 pt, figures enlarged as much, code in 13.5; the sources
    of widgets are folded. All of it fits a page of 1280 x 720. On a screen of Full HD that is a
    browser in full screen (F11) at 150 %. ``on=False`` leaves the mode.

    With ``BNLIB_PROJECTOR=1`` in the environment of JupyterLab every notebook that imports bnlib
    is in this mode, without a line of its own. Outside of a notebook nothing happens.
    """
    if not _in_a_notebook():
        return
    from IPython.display import display

    said = f"Projector mode is {'on' if on else 'off'}: bnlib.use_projector({not on}) changes it."
    script = SCRIPT % json.dumps(CSS if on else "")
    display({"text/plain": said, "text/html": f"{script}<small>{said}</small>"}, raw=True)


def _in_a_notebook() -> bool:
    """Whether Python is a kernel; asks IPython only if somebody has imported it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


if os.environ.get("BNLIB_PROJECTOR") == "1":
    use_projector()
