"""my_bn.py: what passes is written there and works alone; nothing in the file is lost."""

import csv
import linecache
import os
import runpy
import sys

import numpy as np
import pytest

import bnlib
from bnlib import exercises
from bnlib.exercises import bn_forward, report, standardize

IMPORT = "import numpy as np\n"
STANDARDIZE = """
def standardize(x, eps):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
"""
FORWARD = """
def bn_forward(x, gamma, beta, eps):
    return gamma * standardize(x, eps) + beta
"""


def cells(*sources, **given):
    """The names that notebook cells define, each cell with a source that inspect can find."""
    space = {"__name__": "__main__", **given}
    for i, source in enumerate(sources):
        file = f"<cell {i} {abs(hash(source))}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), space)
    return space


@pytest.fixture
def file(tmp_path):
    return tmp_path / "my_bn.py"


def keep(file, *sources, name="standardize"):
    """What `keep` says of the exercise's function that these cells define."""
    return exercises.available[name].keep(cells(IMPORT, *sources)[name], file.parent)


def refused(file, *sources, name="standardize"):
    """What `keep` says when it keeps nothing, and leaves the file as it was."""
    before = file.read_bytes()
    said = keep(file, *sources, name=name)
    assert "Not kept" in said.title
    assert file.read_bytes() == before
    return said


def kept(file):
    """The names of the file, run by itself."""
    return runpy.run_path(str(file))


def test_what_passes_is_kept_source_and_all(file):
    said = keep(file, STANDARDIZE)
    assert "Kept" in said.title
    assert "from my_bn import standardize" in said
    assert STANDARDIZE.strip() in file.read_text(encoding="utf-8")
    assert standardize.check(kept(file)["standardize"]).passed


def test_what_does_not_pass_is_not_kept_and_changes_nothing(file):
    keep(file, STANDARDIZE)
    for wrong in (STANDARDIZE.replace("+ eps", "- eps"), STANDARDIZE.split("return")[0] + "..."):
        assert "standardize · Not" in refused(file, wrong)
    assert os.listdir(file.parent) == ["my_bn.py"]


def test_a_function_that_is_called_is_kept_with_it(file):
    helper = "from numpy import mean, sqrt as root\nHALF = 0.5\ndef power(a):\n    return root(a)\n"
    helper = helper.replace("root(a)", "root(mean([a, a], 0)) ** (HALF + HALF)")
    forward = FORWARD.replace("standardize(x, eps)", "(x - x.mean(0)) / power(x.var(0) + eps)")
    keep(file, helper, forward, name="bn_forward")
    assert bn_forward.check(kept(file)["bn_forward"]).passed
    text = file.read_text(encoding="utf-8")
    for line in ("from numpy import mean\n", "from numpy import sqrt as root\n", "HALF = 0.5\n"):
        assert line in text


def test_an_exercise_that_is_called_gets_a_block_of_its_own(file):
    space = cells(IMPORT, STANDARDIZE, FORWARD)
    said = bn_forward.keep(space["bn_forward"], file.parent)
    assert "Kept with it, since it is called: standardize" in said
    assert "this standardize already" in standardize.keep(space["standardize"], file.parent)
    assert file.read_text(encoding="utf-8").count("def standardize") == 1
    wrong = cells(
        IMPORT,
        STANDARDIZE.replace("+ eps", "+ 2 * eps"),
        FORWARD.replace(", eps)", ", eps / 2)", 2).replace("beta, eps / 2)", "beta, eps)"),
    )
    assert "does not pass its own check" in bn_forward.keep(wrong["bn_forward"], file.parent)


def test_another_name_and_an_array_of_the_notebook(file):
    mine = cells(IMPORT, STANDARDIZE.replace("def standardize", "def mine"))["mine"]
    standardize.keep(mine, file.parent)
    assert standardize.check(kept(file)["standardize"]).passed
    said = refused(file, "one = np.ones(1)", STANDARDIZE.replace("return", "return one *"))
    assert "uses one, a variable of the notebook (of type ndarray)" in said


def test_a_second_keep_replaces_the_block_and_leaves_one_copy_of_what_was_edited(file):
    def replace(source):
        before = file.read_text(encoding="utf-8")
        said = keep(file, source)
        assert source.strip() in file.read_text(encoding="utf-8")
        return said, before

    copy = file.with_name("my_bn.py.before")
    other = STANDARDIZE.replace("x.var(0)", "x.std(0) ** 2")
    keep(file, STANDARDIZE)
    assert not copy.exists()
    said, before = replace(other)
    assert copy.name in said
    assert copy.read_text(encoding="utf-8") == before
    by_hand = file.read_text(encoding="utf-8") + "\n\nMINE = 3  # my own line\n"
    by_hand = by_hand.replace("x.std(0)", "np.std(x, 0)")
    file.write_text(by_hand, encoding="utf-8")
    said, edited = replace(STANDARDIZE)
    assert edited == by_hand
    assert copy.name in said
    assert copy.read_text(encoding="utf-8") == by_hand
    for source in (other, STANDARDIZE):  # as they were kept: the edited state stays in the copy
        assert copy.name not in replace(source)[0]
        assert copy.read_text(encoding="utf-8") == by_hand
    assert "MINE = 3  # my own line" in file.read_text(encoding="utf-8")
    assert sorted(os.listdir(file.parent)) == ["my_bn.py", copy.name]
    assert "already" in keep(file, STANDARDIZE)


@pytest.mark.parametrize(
    ("by_hand", "says"),
    [
        (b"def standardize(x, eps):\n    return x\n", "two different things called standardize"),
        (b"def broken(:\n", "no valid Python in line 1"),
        (b"\xff\xfe", "no valid Python ('utf-8' codec can't decode"),
        (b"import nowhere_to_be_found\n", "would not run: ModuleNotFoundError"),
        (b"raise SystemExit\n", "would not run: SystemExit"),
    ],
)
def test_a_file_edited_by_hand_is_never_written_over(file, by_hand, says):
    file.write_bytes(by_hand)
    assert says in refused(file, STANDARDIZE)


def test_two_helpers_of_one_name_are_not_mixed_up(file):
    helper = "def root(a):\n    return a**0.5\n"
    mine = STANDARDIZE.replace("np.sqrt", "root")
    keep(file, helper, mine)
    other = helper.replace("a**0.5", "np.sqrt(a)")
    forward = FORWARD.replace("standardize(x, eps)", "(x - x.mean(0)) / root(x.var(0) + eps)")
    assert "two different things called root" in refused(file, other, forward, name="bn_forward")


def test_what_the_file_has_otherwise_is_not_replaced_by_what_calls_it(file):
    keep(file, STANDARDIZE)
    other = STANDARDIZE.replace("x.var(0)", "x.std(0) ** 2")
    said = refused(file, other, FORWARD, name="bn_forward")
    assert "my_bn.py holds another standardize than the notebook" in said
    file.write_bytes(file.read_bytes() + b"\nnp = None\n")
    assert "By itself, without the notebook, the function does not pass" in refused(file, other)


def test_functions_without_a_source_of_their_own(file):
    function = cells(IMPORT, STANDARDIZE)["standardize"]
    space = {}
    exec(IMPORT + STANDARDIZE, space)  # no file, and no cell
    for odd, says in (
        (lambda x, eps: function(x, eps), "variables of the function around it"),
        (space["standardize"], "The source of standardize cannot be found"),
        *((odd, "Only what passes its check is kept") for odd in (np.add, 3, None)),
    ):
        said = standardize.keep(odd, file.parent)
        assert "Not kept" in said.title
        assert says in said
    assert not file.exists()


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    function = cells(IMPORT, STANDARDIZE)["standardize"]
    assert "cannot be written" in standardize.keep(function, tmp_path / "missing")
    standardize.keep(function, tmp_path)
    before = (tmp_path / "my_bn.py").read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    other = STANDARDIZE.replace("x.var(0)", "x.std(0) ** 2")
    said = standardize.keep(cells(IMPORT, other)["standardize"], tmp_path)
    assert "No space left" in said
    assert (tmp_path / "my_bn.py").read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_the_report_says_what_was_passed_and_kept_with_mistakes_and_hints(tmp_path, monkeypatch):
    for exercise in exercises.available.values():
        monkeypatch.setattr(exercise, "log", [])
    standardize.check(lambda x, eps: (x - x.mean(0)) / (x.var(0) + eps))
    standardize.hint(2)
    standardize.check(standardize.answer)
    bn_forward.check(lambda x, gamma, beta, eps: ...)
    standardize.keep(cells(IMPORT, STANDARDIZE)["standardize"], tmp_path)
    found = report(tmp_path)
    lines = {line.split()[0]: line.split() for line in str(found).splitlines()}
    assert lines["standardize"] == "standardize yes yes 2 2 - variance-not-root".split()
    assert "bn_forward" not in lines and lines["Not"][:2] == ["Not", "begun:"]
    assert "bn_forward," in lines["Not"]
    shown = found._repr_mimebundle_()
    assert shown["text/plain"] == str(found) == repr(found)
    row = '<th scope="row">standardize</th><td>yes</td><td>yes</td><td>2</td><td>2</td>'
    assert row in shown["text/html"]

    for name in ("report.csv", "report.html", "report.txt"):
        found.save(tmp_path / name)
    with open(tmp_path / "report.csv", newline="", encoding="utf-8") as file:
        rows = {row["exercise"]: row for row in csv.DictReader(file)}
    assert rows["standardize"]["mistakes on the way"] == "variance-not-root"
    assert rows["bn_forward"]["passed"] == "-" and len(rows) == len(exercises.available)
    assert row in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == f"{found}\n"
    with pytest.raises(ValueError, match=r"ends in \.csv, \.html or \.txt"):
        found.save(tmp_path / "report.xlsx")


def test_a_file_that_is_no_text_holds_nothing(tmp_path):
    (tmp_path / "my_bn.py").write_bytes(b"\xff\xfe")
    assert {row.kept for row in report(tmp_path).rows} == {"-"}
    assert {row.kept for row in report(tmp_path / "missing").rows} == {"-"}


LAYER = """
from bnlib.layers import Layer


class BatchNormLayer(Layer):
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        for name, start in (("gamma", np.ones), ("beta", np.zeros)):
            self.add_param(name, start(num_features))
        self.buffers.update(running_mean=np.zeros(num_features), running_var=np.ones(num_features))

    def forward(self, x):
        running = self.buffers["running_mean"], self.buffers["running_var"]
        if self.training:
            self.x = x
            running[0][:], running[1][:] = update_running(*running, x, self.momentum)
            return bn_forward(x, self.params["gamma"], self.params["beta"], self.eps)
        parameters = self.params["gamma"], self.params["beta"]
        slope, offset = bn_inference(*parameters, *running, self.eps)
        return slope * x + offset

    def backward(self, dy):
        dx, dgamma, dbeta = bn_backward(dy, self.x, self.params["gamma"], self.eps)
        self.grads["gamma"][:], self.grads["beta"][:] = dgamma, dbeta
        return dx
"""
FOUR = ("bn_forward", "bn_backward", "bn_inference", "update_running")


def keep_solution(name, file):
    return keep(file, exercises.available[name].solution(), name=name)


def keep_layer(file):
    """(the layer of the library's functions, what `keep` says of it)"""
    mine = exercises.library(*FOUR, folder=file.parent)
    layer = cells(IMPORT, LAYER, **dict(zip(FOUR, mine.functions)))["BatchNormLayer"]
    return layer, exercises.BatchNormLayer.keep(layer, file.parent)


def test_a_layer_of_kept_functions_is_kept_and_works_in_a_network(file):
    for name in FOUR:
        keep_solution(name, file)
    _, said = keep_layer(file)
    assert "Kept" in said.title, said
    assert "my_bn import" not in file.read_text(encoding="utf-8")  # the functions stand there
    kept_layer = kept(file)["BatchNormLayer"]
    assert exercises.BatchNormLayer.check(kept_layer).passed
    bnlib.train(
        bnlib.Sequential([bnlib.Dense(196, 10, bias=False), kept_layer(10)]),
        bnlib.load_mnist(pool=True, n_train=100), steps=2, lr=0.1, batch_size=10,
    )  # fmt: skip


def test_a_layer_of_the_librarys_functions_is_not_kept_as_ones_own(file):
    layer, said = keep_layer(file)
    assert exercises.BatchNormLayer.check(layer).passed
    assert "Not kept" in said.title
    assert "is bnlib's, not yours" in said
    assert not file.exists()


def test_the_library_says_which_functions_are_whose(file):
    keep_solution("bn_forward", file)
    mine = exercises.library("bn_forward", "bn_backward", folder=file.parent)
    assert mine.missing == ("bn_backward",)
    assert "From your my_bn.py: bn_forward." in mine
    assert "bnlib's in place of yours: bn_backward." in mine
    assert mine.functions[0].__module__ == "my_bn"
    assert mine.functions[1] is exercises.bn_backward.answer


def test_the_library_takes_nothing_that_does_not_pass(file):
    keep_solution("bn_forward", file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("gamma * xhat + beta", "gamma * xhat - beta"), encoding="utf-8")
    mine = exercises.library("bn_forward", folder=file.parent)
    assert mine.missing == ("bn_forward",)
    assert "no longer passing: bn_forward" in mine
    for broken, why in (("def broken(:", "SyntaxError"), ("raise SystemExit", "SystemExit")):
        file.write_text(broken, encoding="utf-8")
        mine = exercises.library("bn_forward", folder=file.parent)
        assert f"my_bn.py cannot be imported: {why}" in mine
        assert exercises.bn_forward.check(mine.functions[0]).passed


def test_the_library_knows_exercises_only(file):
    with pytest.raises(KeyError, match="expected names of exercises"):
        exercises.library("batchnorm", folder=file.parent)


def test_what_is_kept_can_be_imported_at_once(file, monkeypatch):
    """Though the notebook has imported my_bn before: the card says `from my_bn import ...`."""
    monkeypatch.syspath_prepend(str(file.parent))
    try:
        keep(file, STANDARDIZE)
        assert exercises.library("standardize", folder=file.parent).missing == ()
        keep(file, STANDARDIZE, FORWARD, name="bn_forward")
        space = {}
        exec("from my_bn import bn_forward", space)
        assert bn_forward.check(space["bn_forward"]).passed
    finally:
        sys.modules.pop("my_bn", None)
