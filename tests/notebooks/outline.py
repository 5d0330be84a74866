"""How long a notebook takes: minutes, words, cells and exercises, section by section.

    python tests/notebooks/outline.py notebooks/04_*.ipynb      (no argument: all of notebooks/)

A sitting is an hour: at most 36 minutes of reading and running, and the exercises on top.
Reading is words / 80 + 1.2 a code cell, what trials took; $x$ and HTML tags are not words.
`## Recall` and `## Going deeper` are not counted. An exercise states its minutes in its heading.
"""

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WORDS_A_MINUTE, MINUTES_A_CELL = 80, 1.2
NOT_COUNTED = ("Recall", "Going deeper")
# ### Exercise 4.1 · bn_backward (25 min)      ### Short task 3.3 · stable_variance (8 min)
TASK = re.compile(
    r"^### (?P<kind>Exercise|Short task) (?P<number>[\d.]+) · (?P<name>.*?)"
    r"(?: \((?P<minutes>\d+) min\))?$",
    re.MULTILINE,
)
TIME = re.compile(r"^\*\*Time\*\*.*$", re.MULTILINE)


@dataclass
class Section:
    """What stands between one heading of level 2 and the next."""

    title: str
    words: int = 0
    cells: int = 0
    tasks: list[re.Match] = field(default_factory=list)

    @property
    def reading(self) -> float:
        """Minutes to read and run it."""
        return self.words / WORDS_A_MINUTE + self.cells * MINUTES_A_CELL

    @property
    def exercises(self) -> int:
        """Minutes that the headings of its exercises state."""
        return sum(int(task["minutes"] or 0) for task in self.tasks)

    @property
    def counted(self) -> bool:
        return self.title not in NOT_COUNTED


def without_code_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def words(text):
    """The words of prose: no formulas, no tags."""
    return len(re.findall(r"\w+", re.sub(r"\$[^$]*\$|<[^>]+>", " ", text)))


def sections(nb):
    """The sections of a notebook; the first one is what stands before any heading of level 2."""
    found = [Section("")]
    for cell in nb.cells:
        if cell.cell_type == "code":
            found[-1].cells += bool(cell.source.strip())
        elif cell.cell_type == "markdown":
            for piece in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
                if piece.startswith("## "):
                    found.append(Section(piece.splitlines()[0].removeprefix("## ").strip()))
                found[-1].words += words(piece)
                found[-1].tasks += TASK.finditer(without_code_blocks(piece))
    return found


def minutes(nb):
    """(reading, exercises) of what is counted, in minutes."""
    counted = [section for section in sections(nb) if section.counted]
    return sum(s.reading for s in counted), sum(s.exercises for s in counted)


def time_line(reading, exercises):
    """The header's line about the time."""
    line = f"**Time** {reading:.0f} min reading and running"
    return f"{line}, {exercises} min exercises" if exercises else line


def state_time(nb):
    """Write the minutes into the **Time** line of the first cell, if there is one."""
    if not nb.cells or not TIME.search(nb.cells[0].source):
        return
    # Twice: the line is read as well, and the first time its words may change.
    for _ in range(2):
        nb.cells[0].source = TIME.sub(time_line(*minutes(nb)), nb.cells[0].source, count=1)


def outline(nb, name):
    """The table that `python outline.py` prints, as text."""
    found = sections(nb)
    reading, exercises = minutes(nb)
    lines = [
        f"{name}: {reading:.1f} min reading (at most 36) + {exercises} min exercises "
        f"= {reading + exercises:.0f} (at most 60)"
    ]
    for section in found:
        title = section.title or "(before the first section)"
        note = "" if section.counted else "   not counted"
        lines.append(
            f"{section.reading:6.1f} min {section.words:5} words {section.cells:3} cells  "
            f"{title}{note}"
        )
        for task in section.tasks:
            lines.append(f"{task['minutes'] or '?':>6} min {'':17}      {task[0].lstrip('# ')}")
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    args = parser.parse_args(argv)
    paths = args.notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    print("\n\n".join(outline(nbformat.read(path, as_version=4), path.name) for path in paths))


if __name__ == "__main__":
    main()
