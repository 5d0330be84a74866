"""The ledger and its cards: as text, and as HTML in a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import VERDICTS, Difference, Row, Verdict
from bnlib.claims.engine.tables import Bold, Table, cell, html_table, text_lines
from bnlib.folded import BLANK

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Entry:
    """A claim with its stored numbers. Shown at the end of a cell, it is a card.

    entry.verdict, entry.sentence : what follows from the numbers
    entry.rows : {seed: {name: number}}
    entry.tuned : the settings chosen on the tuning seeds
    """

    claim: Claim
    rows: dict[int, Row]
    tuned: dict[str, float]

    @cached_property
    def _decided(self) -> Verdict | None:
        return self.claim.decide(list(self.rows.values())) if len(self.rows) > 1 else None

    @property
    def verdict(self) -> str:
        return self._decided.verdict if self._decided else NOT_MEASURED

    @property
    def sentence(self) -> str:
        return self._decided.sentence if self._decided else "No results are stored."

    @property
    def repeated(self) -> float | None:
        """The share of resamples of the seeds that give the same verdict."""
        return self._decided.repeated if self._decided else None

    @property
    def effect(self) -> str:
        """The claim's effect as text: mean, standard error, unit."""
        if len(self.rows) < 2:
            return "-"
        values = [self.claim.effect(row) for row in self.rows.values()]
        return f"{Difference.of(values, self.claim.worth)} {self.claim.unit}"

    def _lines(self) -> list[tuple[str, str]]:
        claim = self.claim
        if self.rows:
            seeds = f"{len(self.rows)}, from {min(self.rows)} to {max(self.rows)}"
            if self.tuned:
                chosen = ", ".join(f"{k} = {v:g}" for k, v in self.tuned.items())
                seeds += f"; tuned on others: {chosen}"
        else:
            seeds = "none"
        return [
            ("claim", claim.sentence),
            ("source", claim.source),
            ("there", claim.paper),
            ("here", self.sentence),
            ("verdict", Bold(self.verdict)),
            ("conclude", claim.conclude if self._decided else "Nothing yet."),
            ("criterion", f"{claim.criterion} Worth having: {claim.worth:g} {claim.unit}."),
            ("seeds", seeds),
        ]

    def __repr__(self) -> str:
        return f"{self.claim.id}\n" + "\n".join(
            textwrap.fill(text, 100, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12)
            for name, text in self._lines()
        )

    def _repr_html_(self) -> str:
        lines = "".join(
            f'<tr><th style="text-align:left;vertical-align:top">{name}</th>'
            f'<td style="text-align:left">{cell(text)}</td></tr>'
            for name, text in self._lines()
        )
        caption = f"<caption>{self.claim.id}</caption>"
        return f'{BLANK}<table style="max-width:52em">{caption}{lines}</table>'


class Ledger(Mapping):
    """Claims with their stored results, by id: a table, ``ledger["an_id"]`` one card.

    ``ledger[["first", "second"]]`` is the ledger of these two, in this order.
    """

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, key: str | list[str]) -> Entry | Ledger:
        if isinstance(key, list):
            return Ledger({name: self[name] for name in key})
        if key not in self._entries:
            raise KeyError(f"no claim {key!r}; there are {', '.join(self._entries)}")
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def beside(self, verdicts: Mapping[str, str]) -> Table:
        """Your verdicts beside the ledger's: a table of all claims of this ledger, in its order.

        verdicts : claim id -> "reproduces", "partly", "not at this scale" or "undecided"; one that
        is missing, `...` or None is shown as "—". Raises KeyError for an id that is not in this
        ledger, ValueError for another verdict.
        """
        if unknown := [name for name in verdicts if name not in self._entries]:
            raise KeyError(f"no claim {unknown[0]!r} here; there are {', '.join(self._entries)}")
        for name, verdict in verdicts.items():
            if verdict is not None and verdict is not ... and verdict not in VERDICTS:
                raise ValueError(
                    f"expected for {name} one of {', '.join(map(repr, VERDICTS))}, or ... for no "
                    f"verdict, got {verdict!r}"
                )
        given = {name: verdict for name, verdict in verdicts.items() if verdict in VERDICTS}
        lines = [(name, given.get(name, "—"), e) for name, e in self.items()]
        head = ("claim", "yours", "the ledger's")
        text = text_lines([head] + [(name, yours, e.verdict) for name, yours, e in lines])
        for k, (*_, e) in enumerate(lines, start=1):
            text[k] += "\n" + textwrap.indent(textwrap.fill(e.sentence, 92), " " * 8)
        html = html_table(
            (*head, "what was measured"),
            [(e.claim.sentence, Bold(yours), Bold(e.verdict), e.sentence) for _, yours, e in lines],
            "text-align:left; vertical-align:top",
        )
        return Table("\n".join(text), html)

    def __repr__(self) -> str:
        head = ("claim", "verdict", "effect, mean ± standard error", "seeds")
        return "\n".join(
            text_lines(
                [head] + [(name, e.verdict, e.effect, str(len(e.rows))) for name, e in self.items()]
            )
        )

    def _repr_html_(self) -> str:
        return html_table(
            ("claim", "verdict", "effect, mean ± standard error", "source"),
            [(e.claim.sentence, Bold(e.verdict), e.effect, e.claim.source) for e in self.values()],
            "text-align:left",
        )
