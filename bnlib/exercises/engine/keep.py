"""Write a function that passed its check into my_bn.py, the learner's own library.

The file is a list of blocks, one a kept function, between two comment lines; what stands outside
of them is the learner's and stays. A block holds all that the function needs from the notebook.
Nothing is written that does not pass its check when it is run from the file's new text alone, and
what was edited by hand and is replaced stays in a copy of the file, my_bn.py.before.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

from .card import Text
from .function import loaded_globals, plain_function

HEAD = '''"""My batch normalization: functions that passed their checks, kept from the notebooks.

Edit what you like: `keep` replaces the block of the function that is kept, and nothing else.
"""
'''
CONSTANTS = int | float | complex | str | bool | None


class NotKept(Exception):
    """Why a function cannot be kept, as a sentence for the learner."""


def keep(function: Callable, name: str, exercises: dict, folder: str | os.PathLike = ".") -> Text:
    """Write function as `name` into folder's my_bn.py; the card says what was done, or why not.

    exercises: all of them by name; what the function calls may be one of them.
    """
    path = Path(folder) / "my_bn.py"
    try:
        said = _keep(plain_function(function), name, exercises, path)
    except NotKept as reason:
        return Text(str(reason), f"{name} · Not kept")
    except OSError as error:
        said = f"{path} cannot be written or read ({error.strerror}). Nothing is changed there."
        return Text(said, f"{name} · Not kept")
    return Text(said, f"{name} · Kept")


def kept(path: Path) -> set[str]:
    """The names of the functions that the file holds as `keep` wrote them; none if there is none.

    Nothing of it is run. What cannot be read as text holds nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    names = re.findall(r"^# ---- end of (\w+)(?:, kept as \w+)?$", text, re.MULTILINE)
    return {name for name in names if _block(text, name) is not None}


def _keep(function, name, exercises, path) -> str:
    result = exercises[name].judge(function)
    if not result.passed:
        raise NotKept(
            f"Only what passes its check is kept, and this is: {result.headline}. What is in "
            f"{path.name} stays as it is."
        )
    before = path.read_text(encoding="utf-8") if path.exists() else HEAD
    try:
        ast.parse(before)
    except SyntaxError as error:
        raise NotKept(
            f"{path.name} is no valid Python in line {error.lineno} ({error.msg}). Mend or rename "
            "it, then keep again: nothing is written into it before."
        ) from None
    blocks: dict[str, str] = {}
    _collect(function, name, exercises, blocks)
    after, replaced = before, ""
    for owner, code in blocks.items():
        if owner != name and _block(after, owner) not in (None, code):
            raise NotKept(
                f"{name} calls {owner}, but {path.name} holds another {owner} than the notebook. "
                f"Keep {owner} first, then {name}."
            )
        after, changed = _with_block(after, owner, code)
        replaced = max(replaced, changed, key=["", "kept", "edited"].index)
    _refuse_clashes(after, path.name)
    _try_out(after, name, exercises, path.name)
    if after == before:
        return f"{path.name} has this {name} already."
    copy = path.with_name(f"{path.name}.before")
    # A later state that was not edited does not take the place of one that was.
    copied = replaced == "edited" or (replaced and not copy.exists())
    if copied:
        _write(copy, before)
    _write(path, after)
    sys.modules.pop("my_bn", None)  # so that the next import reads the file as it is now
    importlib.invalidate_caches()
    lines = [f"It is in {path.name} now: `from my_bn import {name}`."]
    if copied:
        lines.append(f"The file as it was before is in {copy.name}.")
    with_it = [owner for owner in blocks if owner != name]
    if with_it:
        lines.append(f"Kept with it, since it is called: {', '.join(with_it)}.")
    return "\n".join(lines)


# ---------------------------------------------------------------- the code of a block


def _collect(function, name, exercises, blocks) -> None:
    """Add the block of function, and those of the exercises' functions that it calls."""
    imports, parts = {}, {}
    _add(function, name, exercises, blocks, imports, parts)
    blocks[name] = "\n\n".join(
        [*(["\n".join(imports.values())] if imports else []), *parts.values()]
    )


def _add(function, name, exercises, blocks, imports, parts) -> None:
    """Put into imports and parts, by name, what function needs, and its own source last."""
    closed = [c for m in _functions(function) for c in m.__code__.co_freevars if c != "__class__"]
    if closed:
        raise NotKept(
            f"{function.__name__} uses variables of the function around it: define it at the left "
            "margin of a cell."
        )
    source, space = _source(function, name), _functions(function)[0].__globals__
    for needed in sorted(_loaded(function, source) - {function.__name__}):
        if needed not in space:  # a builtin, or a name that is missing: it is tried
            continue
        value = space[needed]
        if needed in exercises and value is exercises[needed].answer:
            raise NotKept(
                f"{name} calls {needed}, and that is bnlib's, not yours. Keep your own {needed} "
                f"first, take it into this notebook, then keep {name}."
            )
        if _home(value) == "my_bn":  # it stands in the file already
            continue
        if isinstance(value, ModuleType):
            imports[needed] = f"import {value.__name__} as {needed}"
            if value.__name__ == needed:
                imports[needed] = f"import {needed}"
        elif isinstance(value, CONSTANTS):
            parts[needed] = f"{needed} = {value!r}"
        elif getattr(sys.modules.get(_home(value)), getattr(value, "__name__", ""), 0) is value:
            renamed = "" if value.__name__ == needed else f" as {needed}"
            imports[needed] = f"from {_home(value)} import {value.__name__}{renamed}"
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


def _loaded(kept, source) -> set[str]:
    """The names that it looks up; for a class also those of its bases and defaults."""
    if not isinstance(kept, type):
        return loaded_globals(kept)
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _home(value) -> str:
    """The module that a thing was imported from; "" for what the notebook itself defines."""
    # NumPy 2.0's ufuncs (np.sqrt) do not say where they are from.
    unsaid = "numpy" if isinstance(value, np.ufunc) else ""
    module = getattr(value, "__module__", None) or unsaid
    return "" if module == "__main__" else module


def _source(function, name) -> str:
    """The source of a function or a class, called name."""
    try:
        if isinstance(function, type):
            source = _source_of_class(function)
        else:
            source = textwrap.dedent(inspect.getsource(function)).strip()
        node = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        node = None
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        raise NotKept(
            f"The source of {name} cannot be found: define it with `def` (or `class`) in a cell."
        )
    if node.name != name:
        source += f"\n\n\n{name} = {node.name}"
    return source


def _source_of_class(kept) -> str:
    """Its lines in the file of its methods: inspect finds no class of a notebook."""
    text = "".join(inspect.findsource(_functions(kept)[0])[0])
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    node = [n for n in nodes if n.name == kept.__name__][-1]
    return textwrap.dedent(ast.get_source_segment(text, node, padded=True)).strip()


# ---------------------------------------------------------------- the text of the file


def _marks(name) -> tuple[str, str]:
    return f"# ---- {name} " + "-" * 60, f"# ---- end of {name}"


def _pattern(name) -> re.Pattern:
    start, end = map(re.escape, _marks(name))
    return re.compile(f"^{start}\n(.*?)\n{end}(?:, kept as (\\w+))?$", re.DOTALL | re.MULTILINE)


def _fingerprint(code) -> str:
    """By which a block that was edited by hand is told from one that is as it was kept."""
    return f"{zlib.crc32(code.encode()):08x}"


def _block(text, name) -> str | None:
    found = _pattern(name).search(text)
    return found[1] if found else None


def _with_block(text, name, code) -> tuple[str, str]:
    """The text with the block in its place, or at the end; and whether that replaced another.

    The second is "edited" if the other was edited by hand, "kept" if not, "" if there was none.
    """
    old = _pattern(name).search(text)
    if old and old[1] == code:
        return text, ""
    start, end = _marks(name)
    block = f"{start}\n{code}\n{end}, kept as {_fingerprint(code)}"
    if not old:
        return f"{text.rstrip()}\n\n\n{block}\n", ""
    replaced = "kept" if old[2] == _fingerprint(old[1]) else "edited"
    return _pattern(name).sub(lambda _: block, text), replaced


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
    except Exception as error:
        raise NotKept(f"{file} would not run: {type(error).__name__}: {error}") from None
    result = exercises[name].judge(space[name])
    if not result.passed:
        raise NotKept(
            f"By itself, without the notebook, the function does not pass: {result.message}"
        )


def _write(path, text) -> None:
    """All or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
