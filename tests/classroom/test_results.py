"""A folder of handed-in files becomes a table; each file has a row, and only that."""

import csv
import os
import re
import time

import pytest

from bnlib.classroom import results
from bnlib.classroom.__main__ import main
from bnlib.classroom.judge import Judged, Verdict
from bnlib.classroom.results import Handed, collect, judge_apart, mistakes, write_tables

STANDARDIZE = b"""import numpy as np
def standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
"""


def hand_in(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py" if not path.suffix else path.suffix).write_bytes(text)


def rows(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_every_file_is_found_under_its_student(tmp_path):
    for name in ("anna/my_bn.py", "anna/old/my_bn.py", "ben_my_bn.py", "my_bn-cleo.py", "dan/a.PY"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(STANDARDIZE)
    for name in ("eve/03_forward.ipynb", "anna/my_bn.py.before", "anna/.hidden.py", ".DS_Store"):
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
        assert found[file].text is None and trouble in found[file].judged.trouble


def test_the_table_is_right_whatever_one_of_them_does(tmp_path, capsys):
    hand_in(
        tmp_path / "in",
        anna__my_bn=STANDARDIZE,
        ben__my_bn=STANDARDIZE.replace(b"+ eps", b""),
        cleo__my_bn=b"import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\nos._exit(0)\n",
        dan__my_bn=b"",
    )
    assert main(["results", str(tmp_path / "in")]) == 1, "one judge was ended"
    printed = capsys.readouterr().out
    assert "4 files, 1 functions passed" in printed
    assert re.search(r"cleo/my_bn.py: could not be judged: its judge was ended", printed)
    found = {row["student"]: row for row in rows(tmp_path / "in-results" / "results.csv")}
    assert {name: row["standardize"] for name, row in found.items()} == {
        "anna": "correct",
        "ben": "not yet: eps-missing",
        "cleo": "",
        "dan": "",
    }
    assert found["anna"]["passed"] == "1" and found["ben"]["passed"] == "0"
    assert found["dan"]["trouble"] == "defines none of the exercises"
    (mistake,) = rows(tmp_path / "in-results" / "mistakes.csv")
    assert mistake["mistake"] == "eps-missing" and mistake["which"] == "ben/my_bn.py"
    assert "eps-missing" in (tmp_path / "in-results" / "results.html").read_text("utf-8")


def test_a_judge_takes_no_result_from_its_files_and_all_is_ended(tmp_path):
    left = tmp_path / "pid"
    code = f"""
import glob, json, os, subprocess, sys
try:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open({str(left)!r}, "w").write(str(child.pid))
except OSError:  # where no second process is allowed
    pass
for name in glob.glob(f"/proc/{{os.getppid()}}/fd/*"):
    try:
        fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, json.dumps({{"claim": ["correct", "", ""]}}).encode() + b"\\n")
    except OSError:
        pass
def standardize(x, eps):
    return x
"""
    found = judge_apart(code.encode(), 30, 600_000_000)
    assert found.trouble or found.verdicts  # either way it has a row
    assert not [v for v in found.verdicts.values() if v.outcome == "correct"]
    for _ in range(100):  # a killed process is there until somebody asks how it ended
        if not left.exists() or not _runs(int(left.read_text())):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a process that a file has started goes on")


def _runs(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


HANDED = [
    Handed("anna", "anna.py", b"", Judged(verdicts={"standardize": Verdict("correct")})),
    Handed(
        "=1+1",
        "=1+1.py",
        b"",
        Judged(
            verdicts={
                "standardize": Verdict("not yet", "variance-not-root", "<script>a</script>"),
                "bn_forward": Verdict("suspicious", said="look"),
            },
            takes=("bnlib.functional",),
        ),
    ),
    Handed(
        "cleo",
        "cleo.py",
        b"",
        Judged(verdicts={"standardize": Verdict("not yet", "variance-not-root")}),
    ),
    Handed("dan", "dan", None, Judged("no file")),
]


def test_tables_and_page(tmp_path):
    write_tables(HANDED, tmp_path)
    assert mistakes(HANDED) == [("variance-not-root", "standardize", ["=1+1.py", "cleo.py"])]
    found = rows(tmp_path / "results.csv")
    assert [row["student"] for row in found] == ["anna", "'=1+1", "cleo", "dan"]
    assert found[1]["bn_forward"] == "suspicious" and found[3]["trouble"] == "no file"
    assert found[1]["takes from bnlib"] == "bnlib.functional"
    page = (tmp_path / "results.html").read_text("utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "You divide by the variance" in page, "what the card of the mistake says"
    assert not re.search(r"(src|href)=", page), "nothing from elsewhere"


def test_exit_codes_and_usage(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    assert main(["results", str(tmp_path / "in")]) == 1
    assert "is empty" in capsys.readouterr().err
    for arguments in (["results", str(tmp_path / "none")], ["results", ".", "--jobs", "0"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "expected a whole number from 1, got '0'" in capsys.readouterr().err

    hand_in(tmp_path / "in", anna__my_bn=STANDARDIZE)
    passed = Judged(verdicts={"standardize": Verdict("correct")})
    monkeypatch.setattr(results, "judge_apart", lambda *_: passed)
    out = tmp_path / "tables"
    assert main(["results", str(tmp_path / "in"), "--out", str(out)]) == 0
    assert rows(out / "results.csv")[0]["standardize"] == "correct"

    prints = iter(["before", "after"])
    monkeypatch.setattr(results, "_fingerprint", lambda: next(prints))
    assert main(["results", str(tmp_path / "in")]) == 1
    assert "bnlib's own files on this machine were changed" in capsys.readouterr().err

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "judge_all", stop)
    monkeypatch.setattr(results, "_fingerprint", lambda: "")
    assert main(["results", str(tmp_path / "in"), "--out", str(tmp_path / "no")]) == 130
    assert not (tmp_path / "no").exists()


def test_help_says_what_it_does_not_protect_from(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["results", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "run this in a container" in " ".join(said.split())
    for outcome in ("correct", "not yet", "error", "too long", "ended", "suspicious"):
        assert f"\n  {outcome}" in said
