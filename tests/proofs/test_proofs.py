"""Every proof holds on this kernel, and what cannot be proved says why."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from sockmon.labs.stage import Stage
from sockmon.proofs import BY_KEY, PROOFS, Finding, Proof, Step
from sockmon.proofs.running import measure, obstacle
from sockmon.prove import prove
from sockmon.tunables import BY_KEY as TUNABLES
from tests.test_cli import sockmon


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.key)
def test_the_kernel_does_what_is_told(proof: Proof) -> None:
    if reason := obstacle(proof):
        pytest.skip(reason)
    before, values = _children(), Path("/proc/sys", proof.key.replace(".", "/")).read_text()
    finding = measure(proof)
    assert finding.holds, finding.verdict
    assert len(finding.steps) >= 2
    assert _children() <= before
    assert Path("/proc/sys", proof.key.replace(".", "/")).read_text() == values


def test_every_key_is_a_tunable_that_each_namespace_has() -> None:
    assert len(BY_KEY) == len(PROOFS)
    assert {key: TUNABLES[key].scope for key in BY_KEY} == dict.fromkeys(BY_KEY, "netns")
    assert all(len(proof.title) <= 72 for proof in PROOFS)


@pytest.mark.usefixtures("needs_userns")
def test_the_verb_says_it_in_words_and_numbers() -> None:
    text = sockmon("prove", "net.ipv4.ip_local_port_range")
    assert text.returncode == 0, text.stderr
    assert text.stdout.rstrip().endswith("this limits the connections towards each destination, at once.")
    found = json.loads(sockmon("prove", "net.unix.max_dgram_qlen", "--json").stdout)
    assert found["holds"]
    assert found["kernel"] == os.uname().release
    assert [step["setting"] for step in found["steps"]] == [
        "net.unix.max_dgram_qlen=4", "net.unix.max_dgram_qlen=12", "net.unix.max_dgram_qlen=12",
    ]  # fmt: skip


def _otherwise(stage: Stage) -> Finding:
    return Finding([Step("a=1", "2", "it is 1", False)], "2 were there", "there is 1")


@pytest.mark.usefixtures("needs_userns")
def test_a_kernel_that_behaves_otherwise_is_told_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_KEY, "net.core.somaxconn", Proof("net.core.somaxconn", "", _otherwise, 1))
    done = CliRunner().invoke(prove, ["net.core.somaxconn"])
    assert done.exit_code == 2
    assert "NOT as told: it is 1" in done.output
    assert "2 were there: this kernel behaves otherwise" in done.output


def test_without_a_key_all_are_listed() -> None:
    listed = json.loads(sockmon("prove", "--json").stdout)
    assert [row["key"] for row in listed] == list(BY_KEY)
    assert all(key in sockmon("prove").stdout for key in BY_KEY)


@pytest.mark.parametrize("key", ["net.ipv4.tcp_tw_recycle", "net.ipv4.ip_conntrack_max"])
def test_a_key_that_is_gone_is_measured_to_be_absent(key: str) -> None:
    done = sockmon("prove", key)
    assert done.returncode == 0, done.stderr
    assert f"{key} is not in this kernel" in done.stdout


def test_a_setting_of_the_host_is_not_touched_and_its_lab_is_named() -> None:
    done = sockmon("prove", "net.ipv4.tcp_max_orphans")
    assert done.returncode == 1
    assert "without changing the host" in done.stderr
    assert "sockmon lab run tcp-orphans" in done.stderr
    assert sockmon("prove", "net.nothing").returncode == 1
