"""What a check, a hint and a solution look like: a card in a notebook, plain text elsewhere.

Cards are readable without colour (the outcome is a word, and each outcome has its own border
style) and follow the theme's own text colour. All text is escaped: it may quote student code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from bnlib.folded import BLANK

HEADLINES = {
    "correct": "Correct",
    "not yet": "Not yet",
    "error": "Error",
    "not attempted": "Not attempted yet",
}
_BORDERS = {"correct": "solid", "not yet": "dashed", "error": "double", "not attempted": "dotted"}


@dataclass(frozen=True)
class Result:
    """The answer of a check.

    outcome is "not attempted", "error", "not yet" or "correct"; diagnosis the id of the recognised
    mistake, or None; message the whole explanation as text.
    """

    exercise: str
    outcome: str
    message: str
    diagnosis: str | None = None

    @property
    def passed(self) -> bool:
        return self.outcome == "correct"

    @property
    def headline(self) -> str:
        return f"{self.exercise} · {HEADLINES[self.outcome]}"

    def __str__(self) -> str:
        return f"{self.headline}\n{self.message}"

    __repr__ = __str__

    def _repr_mimebundle_(self, include=None, exclude=None):
        return _bundle(str(self), self.headline, self.message, _BORDERS[self.outcome])


class Text(str):
    """A string that a notebook shows as a card: a hint, or code, in a fixed-width font."""

    def __new__(cls, text: str, title: str, is_code: bool = False):
        self = super().__new__(cls, text)
        self.title, self.is_code = title, is_code
        return self

    def __repr__(self) -> str:
        return f"{self.title}\n{self}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return _bundle(repr(self), self.title, self, "solid", self.is_code)


def _bundle(plain: str, title: str, text: str, border: str, is_code: bool = False) -> dict:
    body, space, shown = "pre", "pre", escape(text)
    if not is_code:  # what stands between backticks is in the font of code
        body, space, shown = "div", "pre-wrap", re.sub(r"`([^`\n]+)`", r"<code>\1</code>", shown)
    html = (
        f'{BLANK}<div role="note" style="border:1px solid currentColor; max-width:52em; '
        f'font-size:1.05em; line-height:1.45"><div style="border-left:6px {border} currentColor; '
        f'padding:0.5em 1em"><strong>{escape(title)}</strong>'
        f'<{body} style="white-space:{space}; margin:0.4em 0 0; background:none; '
        f'overflow-x:auto">{shown}</{body}></div></div>'
    )
    return {"text/plain": plain, "text/html": html}
