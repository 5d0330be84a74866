"""What a widget sends to the browser: the picture with its caption, and what accompanies it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from importlib.resources import files

import ipywidgets as widgets

CAPTION_HEIGHT = 26  # px: one line; the rest unfolds
BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SIGN = "working: the picture is still that of other settings (without a kernel: run the cell)"
# ipywidgets' own text is 13 px, too small for the last row of a class room.
CSS = """<style>
.bnlib-widget { position: relative;
  --jp-widgets-font-size: 16px; --jp-widgets-inline-width-tiny: 48px; }
.bnlib-picture { display: block; max-width: 100%; height: auto; background: white; }
.bnlib-caption { contain: inline-size; font-size: 16px; line-height: 24px;
  color: var(--jp-content-font-color1, black); }
.bnlib-caption summary { white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  cursor: pointer; }
.bnlib-caption[open] summary { white-space: normal; }
.bnlib-sign { display: none; position: absolute; z-index: 5; left: 50%; top: 45%;
  padding: 6px 14px; transform: translate(-50%, -50%); background: #fff3b0;
  color: black; border: 2px solid black; font-size: 16px; line-height: 22px; }
.bnlib-said { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; color: var(--jp-content-font-color1, black); }
.bnlib-stale .bnlib-sign { display: block; }
.bnlib-stale .bnlib-picture { opacity: 0.3; }
</style>"""


def picture_html(
    png: bytes, sentence: str, size: tuple[int, int], shows: Mapping | None = None
) -> str:
    """The picture and its caption, as the value of an HTML widget of fixed size.

    `Image` widgets have no alt text, hence the `img`. shows : the settings that the picture belongs
    to, label -> text or number, for `front.js`. decoding="sync" avoids a white flash.
    """
    width, height = size
    alt, data = html.escape(sentence), base64.b64encode(png).decode("ascii")
    settings = html.escape(json.dumps(dict(shows or {})))
    return (
        f'<img class="bnlib-picture" alt="{alt}" width="{width}" height="{height}" '
        f'decoding="sync" data-shows="{settings}" src="data:image/png;base64,{data}">'
        f'<details class="bnlib-caption"><summary>{alt}</summary></details>'
    )


def front() -> widgets.HTML:
    """A child without size: the style sheet, what is said of the picture, `front.js`.

    Said to all: that the kernel is at work. To a screen reader alone: what a new picture shows.

    A widget's HTML runs no `<script>`, but it does run what an image does once it is loaded.
    """
    code = html.escape(files("bnlib.widgets").joinpath("front.js").read_text("utf-8"))
    run = f'<img alt="" style="display:none" src="{BLANK}" onload="({code})(this)">'
    sign = f'<div class="bnlib-sign" role="status">{SIGN}</div>'
    said = '<div class="bnlib-said" aria-live="polite"></div>'
    layout = widgets.Layout(width="0", height="0", margin="0", overflow="visible")
    return widgets.HTML(CSS + sign + said + run, layout=layout)
