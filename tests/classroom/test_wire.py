"""What goes between judge and student: all numbers come over unchanged, and nothing else does."""

import io
import json
import re

import numpy as np
import pytest

from bnlib.classroom import wire


def over(value, functions=None, function=None):
    stream = io.BytesIO()
    wire.write(stream, {"value": wire.encode(value, functions)})
    stream.seek(0)
    return wire.decode(wire.read(stream)["value"], function)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(2, 3), (3,), (), (0, 4)])
def test_arrays_keep_dtype_shape_and_every_bit(dtype, shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    array = np.asarray(array)
    back = over(array)
    assert back.dtype == array.dtype and back.shape == shape
    assert back.tobytes() == array.tobytes()
    back[...] = 0  # it may be written into


def test_plain_values_and_lists_of_them():
    value = ([0.1, 3, True, None, "text", float("inf")], np.float32(0.1), (np.arange(3.0),))
    plain, single, (array,) = over(value)
    assert plain == value[0] and isinstance(plain, list)
    assert type(single) is np.float32 and single == np.float32(0.1)
    assert np.array_equal(array, np.arange(3.0))
    assert np.isnan(over(float("nan")))


def test_functions_go_as_numbers_and_only_where_they_may():
    functions = []
    assert over(np.sin, functions, lambda number: functions[number]) is np.sin
    assert over(np.sin) == "<ufunc>"
    assert over(...) == "<ellipsis>"
    assert over(np.array([object()])) == "<ndarray>", "no pickle"
    assert over(np.zeros(10**6)) == "<ndarray>", "too large for a line"


@pytest.mark.parametrize(
    "coded",
    [
        {"array": "", "dtype": "O", "shape": [0]},
        {"array": "AAAA", "dtype": "<f8", "shape": [1]},
        {"array": "", "dtype": "<f8", "shape": [10**12]},
        {"array": "%", "dtype": "<f8", "shape": [0]},
        {"claim": ["correct"]},
    ],
)
def test_what_is_forged_is_refused(coded):
    with pytest.raises((ValueError, KeyError, TypeError)):
        wire.decode(coded)


@pytest.mark.parametrize(
    "line", [b"Correct\n", b"[1]\n", b'{"value": 1}', b"\xff\n", b"{" * 9 + b"\n"]
)
def test_a_line_is_a_json_object_with_an_end(line):
    with pytest.raises(ValueError):
        wire.read(io.BytesIO(line))


def test_a_line_has_a_largest_length_and_the_stream_an_end(monkeypatch):
    monkeypatch.setattr(wire, "LONGEST", 50)
    with pytest.raises(ValueError):
        wire.read(io.BytesIO(json.dumps({"value": "x" * 60}).encode() + b"\n"))
    with pytest.raises(EOFError):
        wire.read(io.BytesIO())


def test_nothing_else_in_bnlib_stands_on_the_classroom(root):
    paths = [p for p in (root / "bnlib").rglob("*.py") if p.parent.name != "classroom"]
    assert len(paths) > 50
    imports = re.compile(r"^\s*(?:from|import) .*\bclassroom\b", re.MULTILINE)
    assert not [path for path in paths if imports.search(path.read_text("utf-8"))]
