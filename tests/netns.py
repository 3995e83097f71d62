"""A private network namespace for one child process: tests use the real kernel and leave the host unchanged.

`inside(function, *args)` runs a top-level function there and returns its result.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.sandbox.namespaces import TOOL_PATH, enter, set_sysctl

__all__ = ["ROOT", "TOOL_PATH", "child_environment", "enter", "inside", "inside_as_root", "refusal", "set_sysctl"]

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent


def child_environment() -> dict[str, str]:
    """Return the environment for a child Python that can import what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def inside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `function(*args)` returns in a child process with a private user and network namespace.

    The function must be at the top level of a module; arguments and result are pickled. Raise AssertionError with
    the child's traceback if it failed."""
    return _run(True, function, *args, **kwargs)


def inside_as_root(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same without a user namespace, as real root, so that all of /proc is readable."""
    return _run(False, function, *args, **kwargs)


def _run(user_namespace: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    call = pickle.dumps((user_namespace, function.__module__, function.__qualname__, args, kwargs))
    child = subprocess.run(
        [sys.executable, "-c", "from tests.netns import answer; answer()"],
        input=call, capture_output=True, env=child_environment(), timeout=120, check=False,
    )  # fmt: skip
    if child.returncode:
        raise AssertionError(f"{function.__qualname__} in a private namespace:\n{child.stderr.decode()}")
    result: T = pickle.loads(child.stdout)
    return result


@cache
def refusal() -> str | None:
    """Return why this user cannot have a user namespace here; None if it can."""
    try:
        inside(os.getpid)
    except AssertionError as error:
        return str(error).strip().splitlines()[-1]
    return None


def answer() -> None:
    """Be the child of `inside`: a pickled call on stdin, its pickled result on stdout."""
    user_namespace, module, name, args, kwargs = pickle.load(sys.stdin.buffer)
    # What the function prints goes to stderr, because stdout is for the result.
    result_to = os.dup(1)
    os.dup2(2, 1)
    raise_descriptor_limit()
    try:
        enter(user_namespace)
        result = getattr(importlib.import_module(module), name)(*args, **kwargs)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    with os.fdopen(result_to, "wb") as stream:
        stream.write(pickle.dumps(result))
