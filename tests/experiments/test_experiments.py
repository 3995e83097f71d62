"""Every experiment is confirmed on this kernel, and what cannot be measured says why."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest
from click.testing import CliRunner

from sockmon.cli.prove import prove
from sockmon.errors import LabUnavailable
from sockmon.experiments import BY_KEY, EXPERIMENTS, NOT_ISOLATABLE, Experiment, runner
from sockmon.experiments.runner import measure, why_unavailable
from sockmon.labs import LABS
from sockmon.model.experiment import Result, Step
from sockmon.sandbox.builder import LabBuilder
from sockmon.tunables import BY_KEY as TUNABLES
from sockmon.tunables import TUNABLES as ROWS
from tests.netns import inside
from tests.test_cli import sockmon


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


OWN = {"netns", "pid namespace", "user namespace", "process"}
"""Scopes that a private namespace isolates."""
MINUTE = 60
"""A measurement that takes this many seconds or more is marked slow."""


def _value(key: str) -> str | None:
    path = Path("/proc/sys", key.replace(".", "/"))
    return path.read_text() if path.exists() else None


def marked(experiment: Experiment) -> object:
    return pytest.param(
        experiment, id=experiment.key, marks=[pytest.mark.slow] if experiment.seconds >= MINUTE else []
    )


@pytest.mark.fault("S22", "S23")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("experiment", map(marked, EXPERIMENTS))
def test_the_kernel_behaves_as_documented(experiment: Experiment) -> None:
    if reason := why_unavailable(experiment):
        pytest.skip(reason)
    before, limits, value = _children(), _limits(), _value(experiment.key)
    try:
        result = measure(experiment)
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert result.confirmed, result.verdict
    assert len(result.steps) >= 2
    assert _children() <= before
    assert (_limits(), _value(experiment.key)) == (limits, value)


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)]


def test_every_setting_has_an_experiment_or_a_reason_why_not() -> None:
    settable = {key for row in ROWS if row.settable for key in row.keys if key not in row.aliases}
    assert settable == set(BY_KEY) | set(NOT_ISOLATABLE)
    assert not set(BY_KEY) & set(NOT_ISOLATABLE)
    assert len(BY_KEY) == len(EXPERIMENTS)
    assert all(len(experiment.title) <= 72 for experiment in EXPERIMENTS)


def test_an_experiment_changes_only_settings_of_a_namespace() -> None:
    # The experiments on rmem_max and wmem_max read the limit and do not change it.
    host_wide = {"net.core.rmem_max", "net.core.wmem_max"}
    assert {key for key in BY_KEY if TUNABLES[key].scope not in OWN} == host_wide
    assert {TUNABLES[key].scope for key in NOT_ISOLATABLE} == {"host", "initial netns", "cgroup"}


@pytest.mark.parametrize("key", NOT_ISOLATABLE)
def test_a_host_wide_setting_is_refused_with_an_alternative(key: str) -> None:
    for verb in NOT_ISOLATABLE[key].verbs:
        name = verb.rpartition(" ")[2]
        assert verb in (f"prove {name}", f"lab run {name}")
        assert name in (BY_KEY if verb.startswith("prove") else {lab.name for lab in LABS})
    with pytest.raises(LabUnavailable) as refused:
        runner.run_experiment(key, TUNABLES[key])
    assert refused.value.message == f"{key} {NOT_ISOLATABLE[key].reason}"
    assert all(verb in refused.value.hint for verb in NOT_ISOLATABLE[key].verbs)


def _words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("needs_userns")
def test_the_verb_prints_the_result_as_a_page_and_as_json() -> None:
    text = sockmon("prove", "net.ipv4.ip_local_port_range")
    assert text.returncode == 0, text.stderr
    assert _words(text.stdout).endswith("this limits the connections towards each destination, at once.")
    assert max(map(len, text.stdout.splitlines())) <= 80
    assert "\x1b" not in text.stdout
    found = json.loads(sockmon("prove", "net.unix.max_dgram_qlen", "--json").stdout)
    assert list(found) == ["key", "kernel", "holds", "verdict", "steps"]
    assert [list(step) for step in found["steps"]] == [["setting", "measured", "words", "holds"]] * 3
    assert found["holds"]
    assert found["kernel"] == os.uname().release
    assert [step["setting"] for step in found["steps"]] == [
        "net.unix.max_dgram_qlen=4", "net.unix.max_dgram_qlen=12", "net.unix.max_dgram_qlen=12",
    ]  # fmt: skip


@pytest.mark.usefixtures("needs_userns")
def test_the_limit_of_a_process_is_measured_on_another_process() -> None:
    found = json.loads(sockmon("prove", f"nofile@{os.getpid()}", "--json").stdout)
    assert (found["key"], found["holds"]) == ("nofile", True)


def _forbidden() -> tuple[int, str]:
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    done = sockmon("prove", "net.core.somaxconn")
    return done.returncode, done.stderr


@pytest.mark.usefixtures("needs_userns")
def test_refused_user_namespaces_are_reported() -> None:
    code, stderr = inside(_forbidden)
    assert code == 1
    assert "the kernel does not allow user namespaces here" in stderr
    assert "Traceback" not in stderr


def _mismatch(builder: LabBuilder) -> Result:
    return Result([Step("a=1", "2", "it is 1", False)], "2 were there", "there is 1")


@pytest.mark.usefixtures("needs_userns")
def test_a_kernel_that_behaves_differently_is_reported_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_KEY, "net.core.somaxconn", Experiment("net.core.somaxconn", "", _mismatch, 1))
    done = CliRunner().invoke(prove, ["net.core.somaxconn"])
    assert done.exit_code == 2
    assert "MISMATCH documented: it is 1" in _words(done.output)
    assert "2 were there: this kernel does not behave as documented" in _words(done.output)


def test_without_a_key_all_experiments_are_listed() -> None:
    listed = json.loads(sockmon("prove", "--json").stdout)
    assert [row["key"] for row in listed] == list(BY_KEY)
    text = sockmon("prove").stdout
    assert all(f" {key}: " in text for key in (*BY_KEY, *NOT_ISOLATABLE))
    assert all(f"\n{experiment.seconds} s " in text for experiment in EXPERIMENTS)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("key", ["net.ipv4.tcp_tw_recycle", "net.ipv4.ip_conntrack_max"])
def test_a_removed_key_is_measured_to_be_absent(key: str) -> None:
    done = sockmon("prove", key)
    assert done.returncode == 0, done.stderr
    assert f"{key} is not in this kernel" in _words(done.stdout)


def test_what_cannot_be_measured_names_an_alternative() -> None:
    done = sockmon("prove", "net.ipv4.tcp_max_orphans")
    assert done.returncode == 1
    assert "sockmon lab run tcp-orphans" in done.stderr
    assert "no effect to measure" in sockmon("prove", "fs.file-nr").stderr
    assert sockmon("prove", "net.nothing").returncode == 64
