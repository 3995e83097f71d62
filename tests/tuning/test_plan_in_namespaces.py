"""What can be changed from which namespace: the real scopes of the keys, and a read-only /proc/sys."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace

import pytest

from sockmon.tunables import BY_KEY
from sockmon.tuning.helper.sysctl_reader import read_settings
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.context import PORT_RANGE, RESERVED_PORTS, PlanContext
from sockmon.tuning.planning.plan import keys_to_read, make_plan, settable_sysctls
from tests.netns import child_environment, inside
from tests.tuning.test_plan import MAX, SOMAXCONN, here, real, refused, write

TUNE = (sys.executable, "-m", "sockmon", "tune")


@pytest.mark.fault("S16")
@real
def test_s16_what_only_the_initial_namespace_may_write_is_refused_elsewhere() -> None:
    for key, words in inside(refusals_inside).items():
        assert "cannot be changed here" in words, key
        assert "initial network namespace" in words, key


def refusals_inside() -> dict[str, str]:
    found = {}
    tracked = os.path.exists(f"/proc/sys/{MAX.replace('.', '/')}")
    for key in ("net.ipv4.tcp_mem", "net.core.netdev_max_backlog", *([MAX] if tracked else [])):
        value = "300000 400000 500000" if key.endswith("mem") else "300000"
        error = refused({key: value}, PlanContext.of(read_settings(keys_to_read([key]))))
        found[key] = f"{error.message}: {error.hint}"
    return found


@pytest.mark.fault("S19")
@real
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("plan", f"{SOMAXCONN}=8192"), 1),
        (("apply", "--yes", f"{SOMAXCONN}=8192"), 1),
        (("show", SOMAXCONN), 0),
        (("show", SOMAXCONN, "--json"), 0),
    ],
)
def test_s19_where_proc_sys_is_mounted_read_only_every_verb_says_so(words: tuple[str, ...], code: int) -> None:
    ended, said = inside(read_only, words)
    assert ended == code
    assert "mounted read-only" in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.fault("S19")
@real
def test_s19_the_list_and_what_was_kept_can_be_looked_at_all_the_same() -> None:
    code, said = inside(read_only, ("list",))
    assert code == 0
    assert "4096 (read-only)" in said
    assert inside(read_only, ("verify",))[0] == 0


def read_only(words: tuple[str, ...]) -> tuple[int, str]:
    mount = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro,nosuid,nodev,noexec /proc/sys"
    with tempfile.TemporaryDirectory() as root:
        place = ["--root", root] if words[0] in ("apply", "verify") else []
        call = ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$@"', "sh", *TUNE, *words, *place]
        done = subprocess.run(call, capture_output=True, text=True, check=False, env=child_environment())
    return done.returncode, done.stdout + done.stderr


@pytest.mark.fault("S18")
@real
def test_s18_the_scope_of_every_key_is_what_a_fresh_namespace_shows() -> None:
    mine, theirs, wrong = read_settings(settable_sysctls()), *inside(survey)
    assert wrong == []
    assert len(theirs) > 15, "too few keys of a namespace's own to prove anything"
    # What was written in there is another number than ours, which has not moved.
    assert mine.values == read_settings(settable_sysctls()).values


def survey() -> tuple[list[str], list[str]]:
    """Return the keys that a new namespace has of its own, and the keys whose row has another scope."""
    fresh, own, wrong = read_settings(settable_sysctls()), [], []
    for key in settable_sysctls():
        if not key.startswith("net."):
            continue
        reason = fresh.refused.get(key, "")
        if "does not have it" in reason and not os.path.exists(f"/proc/1/root/proc/sys/{key.replace('.', '/')}"):
            # A module that is not loaded, or a newer kernel: nothing can be told from here.
            continue
        if (BY_KEY[key].scope == "netns") != (not reason):
            wrong.append(f"{key}: {BY_KEY[key].scope}, {reason or 'writable'}")
        elif not reason and (value := another(key, fresh.values[key])) is not None:
            write(key, value)
            own.append(key)
    return own, wrong


def another(key: str, now: str) -> str | None:
    """Return another valid value; None if it depends on other keys."""
    row = BY_KEY[key]
    if row.kind == "switch":
        return str(next(value for value in row.allowed if str(value) != now))
    if row.kind == "number":
        return str(int(now) + (row.step if int(now) < row.maximum else -row.step))
    return {PORT_RANGE: "40000 50000", RESERVED_PORTS: "41000"}.get(key)


@pytest.mark.fault("S1", "S30")
def test_s30_s1_what_this_kernel_does_not_have_is_found_by_looking_and_not_by_its_version() -> None:
    key = "net.ipv4.tcp_tw_reuse_delay"
    why = "this kernel does not have it, or this network namespace does not show it"
    older = replace(here(), refused={key: why})
    assert why in refused({key: "500"}, older).message
    (row,) = catalog.rows([key], older, None)
    assert (row.current, row.refused) == (None, why)
    assert "(not present)" in catalog.as_text([row], None)
    # A kernel of before 5.4, and one of before 4.19: their values are what is there, no number of a release.
    assert make_plan({SOMAXCONN: "4096"}, here(somaxconn="128")).previews[0].effect.startswith("128 → 4,096")
    assert make_plan({"net.ipv4.tcp_tw_reuse": "1"}, here(tcp_tw_reuse="0")).previews[0].setting.old == "0"
