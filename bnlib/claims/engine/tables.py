"""The numbers behind a verdict as a table, and verdicts of two side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape

from bnlib.claims.engine.judging import Row, shown
from bnlib.folded import BLANK


class Numbers(Mapping):
    """Mean ± standard error of each number of ``rows``, one row a seed. Shown, it is a table.

    A name such as "without, same rate, 10 %" stands in the column "without" and the line
    "same rate, 10 %". ``column`` says which of its parts is the column: 0 the first, -1 the last.
    As a mapping: name -> "93.1 ± 0.4". Raises ValueError for fewer than two seeds.
    """

    def __init__(self, rows: Sequence[Row], column: int = 0) -> None:
        if len(rows) < 2:
            raise ValueError(f"expected the numbers of at least two seeds, got {len(rows)}")
        self._text = {name: shown(rows, name) for name in rows[0]}
        self._cells: dict[str, dict[str, str]] = {}  # line -> column -> text
        for name, text in self._text.items():
            parts = name.split(", ")
            head = parts.pop(column)
            self._cells.setdefault(", ".join(parts), {})[head] = text
        self._columns = list(dict.fromkeys(head for line in self._cells.values() for head in line))

    def __getitem__(self, name: str) -> str:
        return self._text[name]

    def __iter__(self):
        return iter(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def _grid(self) -> list[list[str]]:
        lines = [
            [line, *(cells.get(c, "") for c in self._columns)]
            for line, cells in self._cells.items()
        ]
        return [["", *self._columns], *lines]

    def __repr__(self) -> str:
        grid = self._grid()
        widths = [max(map(len, column)) for column in zip(*grid)]
        return "\n".join(
            "  ".join(
                cell.rjust(w) if i else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(line, widths))
            ).rstrip()
            for line in grid
        )

    def _repr_html_(self) -> str:
        head, *lines = self._grid()
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join(
            f'<tr><th style="text-align:left">{escape(line[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:])
            + "</tr>"
            for line in lines
        )
        return f"{BLANK}<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


class Beside:
    """A reader's verdicts beside the ledger's: `Ledger.beside` makes it. Shown, it is a table.

    lines : (id, the claim, the reader's verdict, the ledger's, the ledger's sentence) each
    """

    def __init__(self, lines: Sequence[tuple[str, str, str, str, str]]) -> None:
        self.lines = list(lines)

    def __repr__(self) -> str:
        grid = [("claim", "yours", "the ledger's")]
        grid += [(name, yours, ledgers) for name, _, yours, ledgers, _ in self.lines]
        widths = [max(map(len, column)) for column in zip(*grid)]
        rows = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in grid]
        for k, (*_, sentence) in enumerate(self.lines, start=1):
            rows[k] += "\n" + textwrap.indent(textwrap.fill(sentence, 92), " " * 8)
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th style="text-align:left">{name}</th>'
            for name in ("claim", "yours", "the ledger's", "what was measured")
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:left; vertical-align:top">{cell}</td>'
                for cell in (
                    escape(claim),
                    f"<b>{escape(yours)}</b>",
                    f"<b>{escape(ledgers)}</b>",
                    escape(sentence),
                )
            )
            + "</tr>"
            for _, claim, yours, ledgers, sentence in self.lines
        )
        return f"{BLANK}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
