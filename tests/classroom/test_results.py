"""A folder of handed-in files becomes a table; each file has a row, and only that."""

import csv
import re

import pytest

from bnlib.classroom import results
from bnlib.classroom.__main__ import main
from bnlib.classroom.judge import Handed, Verdict
from bnlib.classroom.results import collect, write_tables

STANDARDIZE = b"""import numpy as np
def standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
"""


def hand_in(folder, **texts):
    for student, text in texts.items():
        (folder / student).mkdir(parents=True)
        (folder / student / "my_bn.py").write_bytes(text)


def rows(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_every_file_is_found_under_its_student(tmp_path):
    for name in ("anna/my_bn.py", "anna/old/my_bn.py", "ben_my_bn.py", "my_bn-cleo.py", "dan/a.PY"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(STANDARDIZE)
    other = "anna/.ipynb_checkpoints/my_bn-checkpoint.py", "anna/.hidden.py", "anna/my_bn.py.before"
    for name in ("eve/03_forward.ipynb", *other, ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "fay").mkdir()
    (tmp_path / "gus.py").write_bytes(b"#" * (results.LARGEST + 1))
    found = {handed.file: handed for handed in collect(tmp_path)}
    assert {file: handed.student for file, handed in found.items()} == {
        "anna/my_bn.py": "anna (2 files)",
        "anna/old/my_bn.py": "anna (2 files)",
        "ben_my_bn.py": "ben",
        "my_bn-cleo.py": "cleo",
        "dan/a.PY": "dan",
        "eve": "eve",
        "fay": "fay",
        "gus.py": "gus",
    }
    assert found["dan/a.PY"].text == STANDARDIZE
    for file, trouble in (("eve", "no file that ends"), ("fay", "no file"), ("gus.py", "larger")):
        assert found[file].text is None and trouble in found[file].trouble


def test_the_table_is_right_whatever_one_of_them_does(tmp_path, capsys):
    hand_in(
        tmp_path / "in",
        anna=STANDARDIZE,
        ben=STANDARDIZE.replace(b"+ eps", b""),
        cleo=b"import os, signal, time\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(60)\n",
        dan=b"",
    )
    assert main(["results", str(tmp_path / "in")]) == 0
    printed = capsys.readouterr().out
    assert "4 files, 1 functions passed" in printed
    assert "cleo/my_bn.py: ended by itself (signal 15) when it was imported" in printed
    found = {row["student"]: row for row in rows(tmp_path / "in-results" / "results.csv")}
    assert [(name, row["standardize"], row["passed"]) for name, row in found.items()] == [
        ("anna", "correct", "1"),
        ("ben", "not yet: eps-missing", "0"),
        ("cleo", "", "0"),
        ("dan", "", "0"),
    ]
    assert found["dan"]["trouble"] == "defines none of the exercises"
    (mistake,) = rows(tmp_path / "in-results" / "mistakes.csv")
    assert mistake["mistake"] == "eps-missing" and mistake["which"] == "ben/my_bn.py"
    assert "eps-missing" in (tmp_path / "in-results" / "results.html").read_text("utf-8")


WRONG = Verdict("not yet", "variance-not-root", "<script>a</script>")
HANDED = [
    Handed("anna", "anna.py", b"", verdicts={"standardize": Verdict("correct")}),
    Handed(
        *("=1+1", "=1+1.py", b""),
        verdicts={"standardize": WRONG, "bn_forward": Verdict("suspicious", said="look")},
        takes=("bnlib.functional",),
    ),
    Handed("cleo", "cleo.py", b"", verdicts={"standardize": WRONG, "paired": Verdict("not yet")}),
    Handed("dan", "dan", None, "no file"),
    Handed("eve", "eve.py", b"", verdicts={"paired": Verdict("not yet", "range")}),
]


def test_tables_and_page(tmp_path):
    write_tables(HANDED, tmp_path)
    found = rows(tmp_path / "mistakes.csv")
    assert [(row["mistake"], row["files"], row["which"]) for row in found] == [
        ("variance-not-root", "2", "'=1+1.py, cleo.py"),
        ("range", "1", "eve.py"),
    ]
    assert "You divide by the variance" in found[0]["what its card says"]
    found = rows(tmp_path / "results.csv")
    assert [row["student"] for row in found] == ["anna", "'=1+1", "cleo", "dan", "eve"]
    assert found[1]["bn_forward"] == "suspicious" and found[3]["trouble"] == "no file"
    assert found[1]["takes from bnlib"] == "bnlib.functional"
    page = (tmp_path / "results.html").read_text("utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "You divide by the variance" in page, "what the card of the mistake says"
    assert re.search(r'class="suspicious">suspicious<.*class="trouble">no file<', page)
    assert ">bn_forward<" in page and ">layer_norm<" not in page, "only what was handed in"
    sums = re.findall(">([^<>]*)</td>", page.partition(">all<")[2].partition("</tr>")[0])
    assert sums == ["5 files", "", "1", "1", "0", "0", ""]
    assert not re.search(r"(src|href)=", page), "nothing from elsewhere"


def test_whatever_a_name_holds_the_tables_are_written(tmp_path):
    """A platform may pack names in another encoding than UTF-8; a card may hold any text."""
    name = "m\udcfcller\x1b[2J\n<b>x;=1+1"
    odd = Handed(name, f"correct {name}.py", b"", f"{name} suspicious")
    odd.verdicts["paired"] = Verdict("not yet", said=f"expected the correct {name}")
    write_tables([odd], tmp_path)
    assert (tmp_path / "results.csv").read_bytes()[:3] == b"\xef\xbb\xbf", "or Excel spoils umlauts"
    (row,) = rows(tmp_path / "results.csv")
    assert row["student"] == "m?ller [2J <b>x;'=1+1"
    page = (tmp_path / "results.html").read_text("utf-8")
    assert ">m?ller [2J &lt;b&gt;x;=1+1<" in page and "<b>" not in page
    assert {*re.findall('class="(.*?)"', page)} == {"", "trouble", "not yet", "0"}


def test_a_file_that_breaks_the_judge_is_a_row_like_any_other(tmp_path, monkeypatch, capsys):
    def broken(handed, *_):
        yield
        if handed.student == "ben":
            raise RecursionError("too \x1b[2Jdeep")
        handed.verdicts["paired"] = Verdict("correct")

    monkeypatch.setattr(results, "judge", broken)
    hand_in(tmp_path / "in", anna=b"", ben=b"", cleo=b"")
    assert main(["results", str(tmp_path / "in")]) == 0
    said = "ben/my_bn.py: could not be judged: RecursionError: too  [2Jdeep\n"
    assert said in capsys.readouterr().out
    found = rows(tmp_path / "in-results" / "results.csv")
    assert [row["paired"] for row in found] == ["correct", "", "correct"]


def test_a_changed_file_of_bnlib_changes_its_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr(results.bnlib, "__file__", str(tmp_path / "__init__.py"))
    seen = []
    for name in ("__init__.py", "sub/n.py", "n.toml", "results.json", "mnist.npz", "n.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
        seen.append(results._fingerprint())
    (tmp_path / "n.toml").write_bytes(b"2")
    assert len({*seen, results._fingerprint()}) == 6 and seen[-1] == seen[-2], "but for a cache's"


def test_exit_codes_and_usage(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    with pytest.raises(SystemExit, match="is empty"):
        main(["results", str(tmp_path / "in")])
    for arguments in (["results", str(tmp_path / "none")], ["results", ".", "--jobs", "0"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "expected a whole number from 1, got '0'" in capsys.readouterr().err

    hand_in(tmp_path / "in", anna=b"", ben=b"", cleo=b"")
    running = set()

    def step(handed, *_):
        running.add(handed.student)
        handed.verdicts["standardize"] = Verdict("correct")
        try:
            yield
        finally:
            running.remove(handed.student)
            seen.append(len(running))

    seen = []
    monkeypatch.setattr(results, "judge", step)
    out = tmp_path / "tables"
    for jobs, beside in ([], [0, 0, 0]), (["--jobs", "2"], [0, 0, 1]):
        seen.clear()
        assert main(["results", str(tmp_path / "in"), "--out", str(out), *jobs]) == 0
        assert rows(out / "results.csv")[0]["standardize"] == "correct"
        assert sorted(seen) == beside and not running, "by default nobody is beside another"

    prints = iter(["before", "after"])
    monkeypatch.setattr(results, "_fingerprint", lambda: next(prints))
    with pytest.raises(SystemExit, match="bnlib's own files on this machine were changed"):
        main(["results", str(tmp_path / "in")])

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results.time, "sleep", stop)
    monkeypatch.setattr(results, "_fingerprint", lambda: "")
    assert main(["results", str(tmp_path / "in"), "--out", str(tmp_path / "no")]) == 130
    assert not (tmp_path / "no").exists() and not running, "what ran is ended"


def test_help_says_what_it_does_not_protect_from(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["results", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "run this in a container" in " ".join(said.split())
    for outcome in ("correct", "not yet", "error", "too long", "ended", "suspicious"):
        assert f"\n  {outcome}" in said


def test_nothing_else_in_bnlib_stands_on_the_classroom(root):
    paths = [p for p in (root / "bnlib").rglob("*.py") if p.parent.name != "classroom"]
    assert len(paths) > 50
    imports = re.compile(r"^\s*(?:from|import) .*\bclassroom\b", re.MULTILINE)
    assert not [path for path in paths if imports.search(path.read_text("utf-8"))]
