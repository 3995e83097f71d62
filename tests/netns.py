"""A private network namespace for one child process: how tests meet a real kernel and spare the host.

`inside(function, *args)` runs a top-level function there and returns what it returned.
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

from sockmon.labs.namespaces import TOOLS, enter, raise_descriptor_limit, set_sysctl

__all__ = ["ROOT", "TOOLS", "child_environment", "enter", "inside", "inside_as_root", "refusal", "set_sysctl"]

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent


def child_environment() -> dict[str, str]:
    """The environment for a child Python that imports what this one can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def inside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function(*args)` returns in a child process with a private user and network namespace.

    The function must be importable (top level of a module); arguments and result are pickled.
    AssertionError with the child's traceback where it failed."""
    return _run(True, function, *args, **kwargs)


def inside_as_root(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same without a user namespace: real root, so that all of /proc is open."""
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
    """Why this user can have no user namespace here; None: it can."""
    try:
        inside(os.getpid)
    except AssertionError as failed:
        return str(failed).strip().splitlines()[-1]
    return None


def answer() -> None:
    """The child's side of `inside`: a pickled call on stdin, its pickled result on stdout."""
    user_namespace, module, name, args, kwargs = pickle.load(sys.stdin.buffer)
    # What the function prints must not get between the parent and the result.
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
