"""Limits of a live process: planned, applied to a real process, and refused."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from sockmon.errors import Misuse, PlanRejected, SockmonError
from sockmon.model.boot import BootForecast
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Starter
from sockmon.model.plan import Preview, Setting
from sockmon.model.report import Reading, Remedy
from sockmon.model.snapshot import Files, Process
from sockmon.tunables import TUNABLES, row_of
from sockmon.tunables.value import parse
from sockmon.tuning.helper.sysctl_reader import read_settings
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.advice import SETTABLE_KINDS, settable_remedies
from sockmon.tuning.planning.context import PlanContext, from_snapshot
from sockmon.tuning.planning.naming import find_setting
from sockmon.tuning.planning.plan import keys_to_read, make_plan
from tests.netns import child_environment, inside
from tests.snapshots import process, snapshot
from tests.tuning.sample_change import texts
from tests.tuning.test_transaction import old_values
from tests.tuning.worst_host import worst

NOFILE, NPROC = "nofile@1044", "nproc@1044"
ASLEEP = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
"""Runs until its standard input ends."""


def here(*rows: Process, **values: str) -> PlanContext:
    """Return an invented host where nginx[1044], with the start time 7, has 100 of 1,024 descriptors."""
    now = from_snapshot(snapshot(0.0, *(rows or (process(),))))
    known = {NOFILE: "1024:4096", NPROC: "48000:48000", "fs.nr_open": "1048576", "kernel.pid_max": "32768"}
    keys = {"nr_open": "fs.nr_open", "nofile": NOFILE, "nproc": NPROC}
    known |= {keys[each]: value for each, value in values.items()}
    return replace(now, values={**now.values, **known}, start_times={NOFILE: 7, NPROC: 7})


def preview(wanted: dict[str, str], where: PlanContext | None = None) -> Preview:
    (only,) = make_plan(wanted, where or here()).previews
    return only


def refused(wanted: dict[str, str], where: PlanContext | None = None) -> SockmonError:
    with pytest.raises((PlanRejected, Misuse)) as caught:
        make_plan(wanted, where or here())
    return caught.value


def test_the_preview_has_numbers_the_way_back_and_whose_it_is() -> None:
    found = make_plan({NOFILE: "8192"}, here())
    (only,) = found.previews
    assert only.setting == Setting("nofile", "1024:4096", "8192:8192", 1044, 7)
    assert only.setting.name == NOFILE
    assert only.effect == (
        "soft 1,024 → 8,192, hard 4,096 → 8,192 descriptors; nginx[1044] has 100, so 8,092 more fit"
    )
    assert "at once" in only.takes_effect
    assert "inherit" in only.scope
    assert found.commands == ("prlimit --pid 1044 --nofile=8192:8192",)
    assert found.rollback_commands == ("prlimit --pid 1044 --nofile=1024:4096",)
    within = preview({NOFILE: "2048"})
    assert (within.setting.new, within.effect[:19]) == ("2048:4096", "soft 1,024 → 2,048,")


def test_nproc_counts_the_tasks_of_the_user_and_says_if_it_does_not_apply() -> None:
    rows = (process(threads=20), process(pid=2, name="php", threads=30), process(pid=3, uid=0, threads=900))
    found = preview({NPROC: "unlimited"}, here(*rows))
    assert found.effect == ("soft 48,000 → unlimited, hard 48,000 → unlimited tasks; user www has 50")
    assert any("kernel.pid_max = 32,768 is lower" in words for words in texts(found))
    assert "has now" in refused({NPROC: "40"}, here(*rows)).message
    elsewhere = process(pid=4, threads=500, user_namespace=77)
    assert preview({NPROC: "unlimited"}, here(*rows, elsewhere)).effect == found.effect
    root = here(process(uid=0, user="root", threads=900, exempt=True))
    assert any("does not apply to the process" in words for words in texts(preview({NPROC: "800"}, root)))


@pytest.mark.fault("S8")
def test_s8_a_limit_below_what_is_open_is_refused() -> None:
    error = refused({NOFILE: "64"})
    assert "less than the 100 descriptors that nginx[1044] has now" in error.message
    assert preview({NOFILE: "128"}).setting.new == "128:4096"


@pytest.mark.fault("S8")
def test_s8_more_than_nr_open_is_refused_with_the_way_out_and_planned_in_its_turn() -> None:
    error = refused({NOFILE: "2000000"})
    assert "EPERM" in error.message
    assert error.hint == "plan fs.nr_open=2000000 too"
    both = make_plan({NOFILE: "2000000", "fs.nr_open": "2000000"}, here())
    assert [setting.key for setting in both.plan.settings] == ["fs.nr_open", "nofile"]
    assert refused({NOFILE: "2048:2000000"}).hint == error.hint


@pytest.mark.fault("S21")
def test_s21_a_limit_that_the_kernel_would_not_take_back_is_refused() -> None:
    error = refused({NOFILE: "2048:4096"}, here(nofile="1024:2000000"))
    assert "would refuse the rollback" in error.message


def test_processes_of_the_same_name_and_a_lower_hard_limit_are_warned_of() -> None:
    found = preview({NOFILE: "512:512"}, here(process(), process(pid=1045), process(pid=1046)))
    assert any("nofile@1045, nofile@1046" in words for words in texts(found))
    assert any("CAP_SYS_RESOURCE" in words for words in texts(found))
    assert any("needs CAP_SYS_RESOURCE" in words for words in texts(preview({NOFILE: "8192"})))
    crowded = here()
    assert crowded.snapshot
    full = replace(crowded, snapshot=changed(crowded.snapshot, files=Files(999_000, 1_000_000, 1 << 20)))
    assert any("1,000 more files" in words for words in texts(preview({NOFILE: "4096"}, full)))


@pytest.mark.fault("S1")
def test_s1_a_process_that_has_ended_or_whose_number_is_another_ones() -> None:
    gone = replace(here(), values={}, refused={NOFILE: "the process has ended"})
    assert "the process has ended" in refused({NOFILE: "2048"}, gone).message
    # The Snapshot is of the process that had the number before: nothing of it is told of this one.
    other = replace(here(), start_times={NOFILE: 8})
    found = preview({NOFILE: "2048"}, other)
    assert "nginx" not in found.effect
    assert any("the process is not visible" in words for words in texts(found))


@pytest.mark.fault("S1", "S24")
def test_s1_s24_a_limit_takes_a_process_and_nothing_else() -> None:
    assert refused({"nofile": "1"}).hint == "name the process: nofile@PID"
    assert keys_to_read([NOFILE]) == [NOFILE, "fs.nr_open"]
    for key in (
        "nofile@",
        "nofile@0",
        "nofile@01",
        "nofile@-1",
        "nofile@1044\n",
        "core@1",
        "nofile@1@2",
        "nofile/1",
    ):
        assert "\n" not in refused({key: "1024"}).message
    assert find_setting(NOFILE)[1] is find_setting("nofile")[1] is row_of(NPROC.replace("nproc", "nofile"))


def test_how_a_limit_lasts_is_in_the_preview() -> None:
    default = LimitSource("built-in", "nginx.service", soft=1024, hard=4096)
    origin = LimitOrigin(1044, 7, "nofile", 1024, 4096, default, default, Starter("unit", "nginx.service"))
    service = replace(here(), forecasts={NOFILE: BootForecast(None, (), origin=origin)})
    text = "\n".join(preview({NOFILE: "8192"}, service).at_boot)
    assert "systemctl edit nginx.service" in text
    assert "systemctl edit nginx.service, add LimitNOFILE=8192:8192 below [Service]" in text
    assert "1,024 soft, 4,096 hard: nginx.service sets none: the default of systemd" in text
    assert "what started it is not known" in preview({NOFILE: "8192"}).at_boot[0]


def test_every_remedy_that_sets_something_has_a_row_and_a_value_that_may_be_written() -> None:
    report = worst()
    keys = set()
    for reading in report.readings:
        remedies = [remedy for remedy in reading.remedies if remedy.kind in SETTABLE_KINDS]
        assert len(settable_remedies(reading)) == len(remedies), reading.ceiling
        for remedy in remedies:
            assert remedy.key
            assert remedy.value
            assert parse(row_of(remedy.key), remedy.value)
            keys.add(remedy.key)
    # A ceiling that decides how something fails has a remedy for it in some Report, or none is known.
    assert keys >= {"nofile", "nproc", "fs.nr_open", "net.ipv4.udp_mem", "net.unix.max_dgram_qlen"}
    assert len(keys) > 20


def test_alarms_bring_their_processes_into_the_list() -> None:
    report = worst()
    keys = catalog.listed_keys(report)
    assert "nofile@1044" in keys
    assert catalog.listed_keys(None) == [key for key in keys if "@" not in key]
    (row,) = catalog.rows([NOFILE], here(), report)
    assert (row.key, row.current, row.advised, row.scope) == (NOFILE, "1024:4096", "4096:4096", "process")
    assert "nginx[1044] has 1,024 of 1,024" in row.reason


def test_a_knob_names_the_process_that_its_remedy_names() -> None:
    reading = next(reading for reading in worst().readings if reading.ceiling == "user-processes")
    (knob,) = settable_remedies(reading)
    assert knob.key == "nproc@2000"
    raised = Remedy("rlimit", "nofile", "64:64", "run prlimit --pid 7 --nofile=64:64", pid=9)
    assert [knob.key for knob in settable_remedies(changed(reading, subject="nginx[8]", remedies=(raised,)))] == [
        "nofile@9"
    ]
    without = changed(reading, subject="nginx[8]", remedies=(changed(raised, pid=None),))
    assert not settable_remedies(without)
    forged: Reading = changed(reading, remedies=(Remedy("rlimit", "core", "1:1", "raise", pid=7),))
    assert not settable_remedies(forged)


def test_rows_of_limits_are_no_sysctls() -> None:
    for row in TUNABLES:
        assert (row.kind == "limit") == (row.scope == "process") == ("." not in row.key)


@contextmanager
def asleep(soft: int, hard: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process with such a limit of descriptors."""
    with subprocess.Popen(
        ["prlimit", f"--nofile={soft}:{hard}", *ASLEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def tune(root: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sockmon", "tune", *words, *(["--root", root] if root else [])],
        capture_output=True, text=True, check=False, timeout=100, env=child_environment(),
    )  # fmt: skip


def held_and_kept() -> list[tuple[int, int]]:
    with old_values() as root, asleep(300, 400) as child:
        found = []

        def note() -> None:
            found.append(resource.prlimit(child.pid, resource.RLIMIT_NOFILE))

        shown = json.loads(tune("", "show", f"nofile@{child.pid}", "--json").stdout)
        assert (shown["current"], shown["scope"]) == ("300:400", "process")
        for verb in ("revert", "keep"):
            done = tune(root, "apply", f"nofile@{child.pid}=350", "--yes", "--hold", "600")
            assert done.returncode == 0, done.stderr
            assert f"prlimit --pid {child.pid} --nofile=350:400" in done.stderr
            note()
            assert tune(root, verb).returncode == 0
            note()
        assert "all kept changes are in effect" in tune(root, "verify").stdout
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (310, 400))
        drift = tune(root, "verify")
        assert drift.returncode == 1
        assert f"nofile@{child.pid}: kept as 350:400" in drift.stdout
        assert "but is now 310:400" in drift.stdout
        child.kill()
        child.wait()
        assert tune(root, "verify").returncode == 0, "a process that has ended is no drift"
        gone = tune(root, "apply", f"nofile@{child.pid}=360", "--yes")
        assert "has ended" in gone.stderr
        return found


@pytest.mark.fault("S1", "T15")
@pytest.mark.usefixtures("needs_userns")
def test_t15_s1_a_real_process_gets_it_loses_it_keeps_it_and_ends() -> None:
    assert inside(held_and_kept) == [(350, 400), (300, 400), (350, 400), (350, 400)]


def both_at_once() -> tuple[int, str, str]:
    """A sysctl and a limit in one plan: the sysctl persists in a file, the limit in its unit."""
    with old_values() as root, asleep(300, 400) as child:
        os.makedirs(Path(root, "etc/sysctl.d"))
        settings = ("net.core.somaxconn=8192", f"nofile@{child.pid}=350")
        assert tune(root, "apply", *settings, "--yes", "--hold", "600").returncode == 0
        done = tune(root, "keep", "--persist")
        return done.returncode, done.stdout + done.stderr, Path(root, "etc/sysctl.d/90-sockmon.conf").read_text()


@pytest.mark.usefixtures("needs_userns")
def test_a_mixed_plan_persists_its_sysctls_and_says_how_the_limit_lasts() -> None:
    code, words, file = inside(both_at_once)
    assert code == 0, words
    assert "persisted" in words
    assert "ends with the process" in words
    assert "net.core.somaxconn = 8192" in file
    assert "nofile" not in file


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.usefixtures("sees_everyone")
def test_looking_at_a_limit_needs_no_privilege() -> None:
    found = inside(read_settings, [f"nofile@{os.getpid()}", "nproc@1"])
    assert not found.refused.keys() & {"nproc@1"}
