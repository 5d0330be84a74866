"""Read my_bn.py, the learner's own library, and take bnlib's functions for what is not in it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .call import text_of
from .card import Text
from .sentences import and_list


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
    except Exception as error:
        del sys.modules["my_bn"]
        return None, f"my_bn.py cannot be imported: {type(error).__name__}: {text_of(error)}."
    return module, ""
