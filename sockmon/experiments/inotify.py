"""inotify and fanotify: the limits of one user in a user namespace, and in the namespaces below it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import ChildProcess
from sockmon.sandbox.loads.fanotify import add_group, mark_adder, require_marks
from sockmon.sandbox.loads.inotify import Add, add_instance, add_until_refused, watch_adder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_INSTANCES = "user.max_inotify_instances"
_WATCHES = "user.max_inotify_watches"
_GROUPS = "user.max_fanotify_groups"
_MARKS = "user.max_fanotify_marks"
_ADDERS: dict[str, Callable[[], Add]] = {
    _INSTANCES: lambda: add_instance,
    _WATCHES: watch_adder,
    _GROUPS: lambda: add_group,
    _MARKS: mark_adder,
}
_LOW, _HIGH, _INNER = 8, 12, 1000


def _in_inner_namespace(key: str) -> Callable[[None], int]:
    """Return a handler that enters a new user namespace, sets a higher limit there, and adds until refused."""

    def add_inside(request: None) -> int:
        namespaces.enter()
        set_sysctl(key, str(_INNER))
        return add_until_refused(_ADDERS[key]())[0]

    return add_inside


def _steps(key: str) -> dict[str, tuple[int, str]]:
    set_sysctl(key, str(_LOW))
    add = _ADDERS[key]()
    found = {"low": add_until_refused(add)}
    set_sysctl(key, str(_HIGH))
    found["high"] = add_until_refused(add)
    set_sysctl(key, str(_LOW))
    found["lowered"] = add_until_refused(add)
    set_sysctl(key, str(_HIGH + _LOW))
    found["inner"] = (ChildProcess(_in_inner_namespace(key)).call(), "")
    return found


def _user(builder: LabBuilder, key: str, error: str, call: str, things: str) -> Result:
    if key == _MARKS:
        require_marks()
    [found] = measure_in_namespaces(builder, 1, _steps, (key,))
    low, high, lowered, inner = (found[name][0] for name in ("low", "high", "lowered", "inner"))
    steps = [
        Step(
            f"{key}={_LOW}",
            f"{low} {things}, then {call} failed with {found['low'][1]}",
            "the limit is per user, independent of ulimit -n",
            found["low"] == [_LOW, error],
        ),
        Step(f"{key}={_HIGH}", f"{high} more", "it takes effect at once", high == _HIGH - _LOW),
        Step(
            f"{key}={_LOW}",
            f"{lowered} more besides the existing {low + high}",
            "after lowering, no more can be added",
            found["lowered"] == [0, error],
        ),
        Step(
            f"{key}={_HIGH + _LOW}",
            f"{inner} more besides those {low + high}, in an inner user namespace where it was set to {_INNER:,}",
            "existing ones stay; the limits of the outer namespaces apply too",
            inner == _LOW,
        ),
    ]
    numbers = (
        f"one user had {low} {things} with {key}={_LOW} and {low + high} with {_HIGH}; then {call} failed with"
        f" {found['high'][1]}"
    )
    return Result(steps, numbers, "this limits a user of this namespace and of the namespaces below it, at once")


EXPERIMENTS = (
    Experiment(
        _INSTANCES,
        "EMFILE with few open descriptors, until the limit is raised",
        partial(_user, key=_INSTANCES, error="EMFILE", call="inotify_init()", things="instances"),
        1,
    ),
    Experiment(
        _WATCHES,
        "ENOSPC with free disk space, until the limit is raised",
        partial(_user, key=_WATCHES, error="ENOSPC", call="inotify_add_watch()", things="watches"),
        1,
    ),
    Experiment(
        _GROUPS,
        "EMFILE with few open descriptors, until the limit is raised",
        partial(_user, key=_GROUPS, error="EMFILE", call="fanotify_init()", things="groups"),
        1,
        needs=("Linux 5.13",),
    ),
    Experiment(
        _MARKS,
        "ENOSPC with free disk space, until the limit is raised",
        partial(_user, key=_MARKS, error="ENOSPC", call="fanotify_mark()", things="marks"),
        1,
        needs=("Linux 5.13",),
    ),
)
