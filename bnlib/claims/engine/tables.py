"""Tables as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bnlib.folded import BLANK


class Bold(str):
    """A cell's text that is set in bold type."""


def cell(text: str) -> str:
    """The text as HTML."""
    return f"<b>{escape(text)}</b>" if isinstance(text, Bold) else escape(text)


def text_lines(grid: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its columns aligned on the left."""
    widths = [max(map(len, column)) for column in zip(*grid)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in grid]


def html_table(head: Sequence[str], lines: Sequence[Sequence[str]], style: str) -> str:
    """A head and lines of cells; ``style`` is the CSS of a cell that is not in the head."""
    top = "".join(f'<th style="text-align:left">{name}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{cell(text)}</td>' for text in line) + "</tr>"
        for line in lines
    )
    return f"{BLANK}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, repr=False)
class Table:
    """Shown at the end of a cell: HTML in a notebook, text elsewhere."""

    text: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html
