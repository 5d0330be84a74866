"""my_bn.py, the learner's own library: write a function that passed its check, and read them.

The file is a list of blocks, one a kept function, between two comment lines; what stands outside
of them is the learner's and stays. A block holds all that the function needs from the notebook.
Nothing is written that does not pass its check when it is run from the file's new text alone, and
what was edited by hand and is replaced stays in a copy of the file, my_bn.py.before.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import sys
import textwrap
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from bnlib.saving import whole_file

from .call import text_of
from .card import Text
from .function import loaded_globals, plain_function
from .sentences import and_list

HEAD = '''"""My batch normalization: functions that passed their checks, kept from the notebooks.

Edit what you like: `keep` replaces the block of the function that is kept, and nothing else.
"""
'''
CONSTANTS = int | float | complex | str | bool | None
BLOCK = re.compile(
    r"^# ---- (\w+) -+\n(.*?)\n# ---- end of \1(?:, kept as (\w+))?$", re.DOTALL | re.MULTILINE
)


class NotKept(Exception):
    """Why a function cannot be kept, as a sentence for the learner."""


def keep(function: Callable, name: str, exercises: dict, folder: str | os.PathLike = ".") -> Text:
    """Write function as `name` into folder's my_bn.py; the card says what was done, or why not.

    exercises: all of them by name; what the function calls may be one of them.
    """
    path = Path(folder) / "my_bn.py"
    try:
        return Text(_keep(plain_function(function), name, exercises, path), f"{name} · Kept")
    except NotKept as reason:
        said = str(reason)
    except OSError as error:
        said = f"{path} cannot be written or read ({error.strerror}). Nothing is changed there."
    return Text(said, f"{name} · Not kept")


def kept(path: Path) -> set[str]:
    """The names of the functions that the file holds as `keep` wrote them; none if there is none.

    Nothing of it is run. What cannot be read as text holds nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    return set(_blocks(text))


def _keep(function, name, exercises, path) -> str:
    result = exercises[name].judge(function)
    if not result.passed:
        raise NotKept(
            f"Only what passes its check is kept, and this is: {result.headline}. What is in "
            f"{path.name} stays as it is."
        )
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else HEAD
        ast.parse(before)
    except (SyntaxError, ValueError) as error:  # ValueError: no UTF-8
        of_line = isinstance(error, SyntaxError)
        why = f"in line {error.lineno} ({error.msg})" if of_line else f"({error})"
        raise NotKept(
            f"{path.name} is no valid Python {why}. Mend or rename it, then keep again: nothing is "
            "written into it before."
        ) from None
    blocks: dict[str, str] = {}
    _collect(function, name, exercises, blocks)
    after, replaced = before, set()
    for owner, code in blocks.items():
        old = _blocks(after).get(owner)
        if old and old[2] == code:
            continue
        if old and owner != name:
            raise NotKept(
                f"{name} calls {owner}, but {path.name} holds another {owner} than the notebook. "
                f"Keep {owner} first, then {name}."
            )
        block = f"# ---- {owner} {'-' * 60}\n{code}\n# ---- end of {owner}, kept as {_mark(code)}"
        if old:
            replaced.add("kept" if old[3] == _mark(old[2]) else "edited")
            after = after[: old.start()] + block + after[old.end() :]
        else:
            after = f"{after.rstrip()}\n\n\n{block}\n"
    _refuse_clashes(after, path.name)
    _try_out(after, name, exercises, path.name)
    if after == before:
        return f"{path.name} has this {name} already."
    copy = path.with_name(f"{path.name}.before")
    # A later state that was not edited does not take the place of one that was.
    copied = "edited" in replaced or (replaced and not copy.exists())
    if copied:
        _write(copy, before)
    _write(path, after)
    sys.modules.pop("my_bn", None)  # so that the next import reads the file as it is now
    importlib.invalidate_caches()
    lines = [f"It is in {path.name} now: `from my_bn import {name}`."]
    if copied:
        lines.append(f"The file as it was before is in {copy.name}.")
    if with_it := [owner for owner in blocks if owner != name]:
        lines.append(f"Kept with it, since it is called: {', '.join(with_it)}.")
    return "\n".join(lines)


# ---------------------------------------------------------------- the code of a block


def _collect(function, name, exercises, blocks) -> None:
    """Add the block of function, and those of the exercises' functions that it calls."""
    imports, parts = {}, {}
    _add(function, name, exercises, blocks, imports, parts)
    blocks[name] = "\n\n".join(filter(None, ["\n".join(imports.values()), *parts.values()]))


def _add(function, name, exercises, blocks, imports, parts) -> None:
    """Put into imports and parts, by name, what function needs, and its own source last."""
    closed = [c for m in _functions(function) for c in m.__code__.co_freevars if c != "__class__"]
    if closed:
        raise NotKept(
            f"{function.__name__} uses variables of the function around it: define it at the left "
            "margin of a cell."
        )
    source, space = _source(function, name), _functions(function)[0].__globals__
    loaded = loaded_globals(compile(source, name, "exec")) - {function.__name__, "__name__"}
    for needed in sorted(loaded & space.keys()):  # others: builtins, or missing; it is tried
        value = space[needed]
        if needed in exercises and value is exercises[needed].answer:
            raise NotKept(
                f"{name} calls {needed}, and that is bnlib's, not yours. Keep your own {needed} "
                f"first, take it into this notebook, then keep {name}."
            )
        if _home(value) == "my_bn":  # it stands in the file already
            continue
        called = getattr(value, "__name__", "")
        renamed = "" if called == needed else f" as {needed}"
        if isinstance(value, ModuleType):
            imports[needed] = f"import {called}{renamed}"
        elif isinstance(value, CONSTANTS):
            parts[needed] = f"{needed} = {value!r}"
        elif getattr(sys.modules.get(_home(value)), called, 0) is value:
            imports[needed] = f"from {_home(value)} import {called}{renamed}"
        elif isinstance(value, FunctionType) and needed in exercises:
            if not exercises[needed].judge(value).passed:
                raise NotKept(f"{name} calls {needed}, which does not pass its own check.")
            if needed not in blocks:
                blocks[needed] = ""  # so that two that call each other come to an end
                _collect(value, needed, exercises, blocks)
        elif isinstance(value, FunctionType):
            if needed not in parts:
                parts[needed] = ""
                _add(value, needed, exercises, blocks, imports, parts)
        else:
            raise NotKept(
                f"{name} uses {needed}, a variable of the notebook (of type "
                f"{type(value).__name__}). A file of functions does not have it: pass it as an "
                "argument, or compute it inside."
            )
    parts.pop(name, None)  # after what it needs
    parts[name] = source


def _functions(kept) -> list[FunctionType]:
    """The function itself; of a class, its methods."""
    if not isinstance(kept, type):
        return [kept]
    return [f for f in vars(kept).values() if isinstance(f, FunctionType)]


def _home(value) -> str:
    """The module that a thing was imported from; "" for what the notebook itself defines."""
    # NumPy 2.0's ufuncs (np.sqrt) do not say where they are from.
    unsaid = "numpy" if isinstance(value, np.ufunc) else ""
    module = getattr(value, "__module__", None) or unsaid
    return "" if module == "__main__" else module


def _source(kept, name) -> str:
    """The source of a function or a class, called name, without decorators."""
    try:
        lines, line = inspect.findsource(_functions(kept)[0])  # inspect finds no class of a notebook
        text = "".join(lines)
        nodes = [n for n in ast.walk(ast.parse(text)) if getattr(n, "name", "") == kept.__name__]
        node = min(nodes, key=lambda n: abs(n.lineno - line))
        source = textwrap.dedent(ast.get_source_segment(text, node, padded=True)).strip()
    except (OSError, TypeError, SyntaxError, ValueError, LookupError):
        raise NotKept(
            f"The source of {name} cannot be found: define it with `def` (or `class`) in a cell."
        ) from None
    return source if kept.__name__ == name else f"{source}\n\n\n{name} = {kept.__name__}"


# ---------------------------------------------------------------- the text of the file


def _blocks(text) -> dict[str, re.Match]:
    """By name: 2 is the code, 3 the mark that it had when it was kept."""
    return {found[1]: found for found in BLOCK.finditer(text)}


def _mark(code) -> str:
    """By which a block that was edited by hand is told from one that is as it was kept."""
    return f"{zlib.crc32(code.encode()):08x}"


def _refuse_clashes(text, file) -> None:
    """Two different things of one name, of which the second would replace the first."""
    seen: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        else:
            continue
        for name in names:
            if seen.setdefault(name, ast.dump(node)) != ast.dump(node):
                raise NotKept(
                    f"{file} would then hold two different things called {name}, and the second "
                    f"hides the first (line {node.lineno} of the new file). Give yours another "
                    "name, or remove the other from the file; then keep again."
                )


def _try_out(text, name, exercises, file) -> None:
    """Run the text by itself, and check all exercises' functions in it."""
    space = {"__name__": "my_bn"}
    try:
        exec(compile(text, file, "exec"), space)
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {text_of(error)}"
        raise NotKept(f"{file} would not run: {said}") from None
    result = exercises[name].judge(space[name])
    if not result.passed:
        raise NotKept(
            f"By itself, without the notebook, the function does not pass: {result.message}"
        )


def _write(path, text) -> None:
    with whole_file(path) as file:
        file.write(text.encode())


# ---------------------------------------------------------------- reading it


class Library(Text):
    """What `library` returns: a card that says whose functions they are, and the functions.

    functions: in the order of the names asked for.  missing: the names that my_bn.py lacks.
    """

    functions: tuple[Callable, ...]
    missing: tuple[str, ...]


def library(names: Sequence[str], exercises: dict, folder: str | os.PathLike = ".") -> Library:
    """Take each function of ``names`` from folder's my_bn.py if it passes its check there.

    exercises: all of them by name. The file may have been edited by hand, so all are checked.
    """
    module, trouble = _load(Path(folder) / "my_bn.py")
    own = {name: getattr(module, name, None) for name in names}
    wrong = [n for n, f in own.items() if f is not None and not exercises[n].judge(f).passed]
    missing = [n for n, f in own.items() if f is None or n in wrong]
    said = [trouble] if trouble else []
    if yours := [name for name in names if name not in missing]:
        said.append(f"From your my_bn.py: {and_list(yours)}.")
    if wrong:
        said.append(f"In my_bn.py, but no longer passing: {and_list(wrong)}. Edited since?")
    if missing:
        said.append(f"bnlib's in place of yours: {and_list(missing)}.")
    result = Library("\n".join(said), "my_bn.py")
    result.functions = tuple(
        exercises[name].answer if name in missing else own[name] for name in names
    )
    result.missing = tuple(missing)
    return result


def _load(path: Path):
    """(module, "") or (None, why not); (None, "") where there is no file.

    Read anew each time: it grows while the kernel runs.
    """
    if not path.exists():
        return None, ""
    spec = importlib.util.spec_from_file_location("my_bn", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_bn"] = module  # so that `import my_bn` gives the same functions
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules["my_bn"]
        return None, f"my_bn.py cannot be imported: {type(error).__name__}: {text_of(error)}."
    return module, ""
