"""results.json: the numbers of every claim, seed by seed. Verdicts are not stored."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from bnlib.claims.engine.claim import Claim
from bnlib.claims.engine.judging import Row
from bnlib.saving import whole_file

STORED = Path(__file__).parent.parent / "results.json"


class Results:
    """The stored numbers: claim -> "tune" or "experiment" -> seed -> {name: number}.

    `add` writes the file anew, at once and whole: an interrupt at any moment leaves the old file or
    the new one. Raises ValueError for a file that is not of this form.
    """

    def __init__(self, path: str | os.PathLike = STORED) -> None:
        self.path = Path(path)
        self._claims: dict[str, dict] = {}
        if self.path.exists():
            try:
                self._claims = json.loads(self.path.read_text(encoding="utf-8"))
                {int(s): r for c in self._claims.values() for s, r in c["experiment"].items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"expected results of `python -m bnlib.claims` in {self.path.name}, got "
                    f"{type(error).__name__}: {error}; edited by hand, or a merge conflict?"
                ) from error

    def rows(self, claim_id: str, part: str = "experiment") -> dict[int, Row]:
        """seed -> numbers, in the order of the seeds."""
        stored = self._claims.get(claim_id, {}).get(part, {})
        return {seed: stored[str(seed)] for seed in sorted(map(int, stored))}

    def tuned(self, claim: Claim) -> dict[str, float]:
        """The settings that the claim's tuning chose; {} for a claim without.

        Raises ValueError if it was not tuned yet, EdgeOfGrid if the best is at an edge.
        """
        if claim.tune is None:
            return {}
        if not (rows := self.rows(claim.id, "tune")):
            raise ValueError(f"{claim.id} was not tuned: run `python -m bnlib.claims --only-tune`")
        return claim.choose(list(rows.values()))

    def add(self, claim_id: str, part: str, seed: int, row: Row) -> None:
        """Store the numbers of one seed and write the file."""
        entry = self._claims.setdefault(claim_id, {"versions": {}, "tune": {}, "experiment": {}})
        rows = self.rows(claim_id, part)
        if rows and (other := next(iter(rows.values()))).keys() != row.keys():
            raise ValueError(
                f"{claim_id} gave {sorted(row)}, the seeds stored have {sorted(other)}: was the "
                "claim changed since? `--again` forgets what is stored"
            )
        entry["versions"] = {
            "bnlib": version("bnlib"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        }
        entry[part][str(seed)] = row
        self._write()

    def forget(self, claim_id: str) -> None:
        """Remove all numbers of a claim."""
        if self._claims.pop(claim_id, None) is not None:
            self._write()

    def copy_tuning(self, other: Results) -> None:
        """Take over what another ledger was tuned by."""
        for claim_id in other._claims:
            for seed, row in other.rows(claim_id, "tune").items():
                if seed not in self.rows(claim_id, "tune"):
                    self.add(claim_id, "tune", seed, row)

    def _write(self) -> None:
        with whole_file(self.path) as file:
            file.write(_text(self._claims).encode())


def _text(claims: dict[str, dict]) -> str:
    """JSON with one line a seed: a diff shows which seeds changed."""

    def block(content: dict, indent: int, depth: int) -> str:
        if not content or depth == 0:
            return json.dumps(content, ensure_ascii=False, allow_nan=False)
        pad = " " * indent
        lines = (
            f"{pad}{json.dumps(key)}: {block(value, indent + 1, depth - 1)}"
            for key, value in sorted(content.items(), key=lambda item: (len(item[0]), item[0]))
        )
        return "{\n" + ",\n".join(lines) + "\n" + pad[1:] + "}"

    return block(claims, 1, 3) + "\n"
