"""What an instructor runs before, during and after a lesson.

  ready    on each machine, or once on the server: can the lesson start?
  copies   the notebooks to hand out, and a set for you with solutions, answers and notes
  results  who passed what, from the my_bn.py files that the students hand in

Each has its own help: python -m bnlib.classroom results --help
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bnlib.classroom import LEGEND

READY = """\
Looks at what the lesson needs, one line each: "ok", or what is wrong and what to do about it.
The steps a second are for you to compare machines with; no number of them is wrong.
Exit code 0: ready.  1: something has to be mended.
"""
COPIES = """\
Writes two editions of the notebooks, OUT/student and OUT/instructor. Both need bnlib.

  student     hand this out. The stored outputs that give an answer away are gone: those between a
              prediction and its answer, and those of checks. Other pictures stay.
  instructor  keep this. Stubs are filled with solutions, answers are unfolded, and the notes of
              teaching_guide.md stand below their cells. Run it, and every check says "Correct",
              but for the wrong attempt that 00 shows on purpose.

What it is not: a secret. A student's bnlib holds the solutions, as bnlib.exercises.NAME.solution()
and in its source. For a graded course see "Handing out and collecting" in the teaching guide.
"""
RESULTS = f"""\
Runs the checks anew on every file in FOLDER and writes results.html, results.csv, mistakes.csv.

FOLDER is what a learning platform gives you: a folder a student (anna/my_bn.py), or files
(anna_my_bn.py), or both. Every .py file that is not in a hidden folder has a row of its own,
whatever is the matter with it.

{LEGEND}
The last column lists what a file imports from bnlib. bnlib.layers.Layer belongs to Exercise 8.1,
bnlib.BatchNorm to 11.1; bnlib.functional or bnlib.exercises in it means that bnlib may have done
the work.

Handed-in code runs on this machine, with your rights, in a process of its own with limits on time
and memory. It cannot print or patch itself a result. It could still delete your files or end this
command, and with --jobs 2 write into the answers of another file: where you do not trust the class
so far, run this in a container, and not as root, who has no limit on processes. On Windows there is
no limit on memory, on macOS none that holds.

Exit code 0: the tables are written.  1: nothing to judge, or bnlib was changed by a file.
2: wrong arguments.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    raw = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    made = argparse.ArgumentParser(prog="python -m bnlib.classroom", description=__doc__, **raw)
    said = {"metavar": "COMMAND", "help": "ready, copies or results"}
    commands = made.add_subparsers(dest="command", required=True, **said)
    commands.add_parser("ready", description=READY, **raw)

    copies = commands.add_parser("copies", description=COPIES, **raw)
    copies.add_argument("out", metavar="OUT", type=Path, help="a folder, made if it is not there")
    copies.add_argument("--notebooks", type=Path, help="where they are; default: beside bnlib")

    results = commands.add_parser("results", description=RESULTS, **raw)
    results.add_argument("folder", metavar="FOLDER", type=Path, help="with the handed-in files")
    results.add_argument("--out", type=Path, help="for the tables; default: FOLDER-results")
    results.add_argument("--jobs", type=_positive, default=1, help="files at a time, default 1")
    results.add_argument("--seconds", type=_positive, default=20, help="a function, default 20")
    results.add_argument("--memory", type=_positive, default=1000, help="MB a file, default 1000")
    return made


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three. Returns the exit code, or raises SystemExit with what is wrong."""
    options = parser().parse_args(arguments)
    if options.command == "ready":
        from bnlib.classroom import ready

        return ready.run()
    if options.command == "copies":
        from bnlib.classroom import copies

        copies.run(options.out, options.notebooks or copies.BESIDE)
        return 0
    from bnlib.classroom import results

    folder = options.folder.resolve()
    if not folder.is_dir():
        parser().error(f"{folder} is no folder: expected one with the students' my_bn.py files")
    out = options.out or folder.with_name(f"{folder.name}-results")
    try:
        results.run(folder, out, options.jobs, options.seconds, options.memory * 1_000_000)
    except KeyboardInterrupt:
        print("Stopped. No table is written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
