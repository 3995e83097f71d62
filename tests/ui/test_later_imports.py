"""The code of the pages is imported after the first board, and before any key needs it."""

from __future__ import annotations

import ast
import errno
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sockmon.ui
from sockmon.ui.later_imports import MODULES, LaterImports
from tests.netns import child_environment
from tests.terminal import SOCKMON, on_terminal


def imported_in_functions(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports only when one of its functions runs."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sockmon"):
                    yield node.module or ""
                    yield from (f"{node.module}.{each.name}" for each in node.names)


def test_all_that_a_function_of_the_screen_imports_is_imported_before() -> None:
    folder = Path(sockmon.ui.__file__).parent
    wanted = {
        name
        for path in folder.rglob("*.py")
        for name in imported_in_functions(path)
        if importlib.util.find_spec(name.rpartition(".")[0]) and _is_module(name)
    }
    assert len(wanted) > 10
    code = (
        "import importlib, sys, sockmon.ui.run\n"
        f"for name in {MODULES}: importlib.import_module(name)\n"
        f"print([name for name in {sorted(wanted)} if name not in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.stdout.strip() == "[]", done.stderr


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_first_board_needs_none_of_them() -> None:
    code = f"import sys, sockmon.ui.run; print([name for name in {MODULES} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.stdout.strip() == "[]", done.stderr


def test_a_module_that_cannot_be_read_is_named_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    free, imported = False, []

    def read(name: str) -> None:
        if not free:
            raise OSError(errno.EMFILE, "Too many open files")
        imported.append(name)

    monkeypatch.setattr(importlib, "import_module", read)
    pages = LaterImports(("none.such", "no.other"))
    assert pages.finish() == "Too many open files"
    assert not pages.done
    free = True
    assert pages.finish() == ""
    assert pages.done
    assert imported == ["none.such", "no.other"]


def test_a_key_before_the_first_board_opens_its_page() -> None:
    with on_terminal(command=SOCKMON) as terminal:
        terminal.press("?")
        terminal.until("Esc")
        terminal.press("q")
        terminal.settle()
        terminal.press("q")
        assert terminal.end() == 0
