"""Every proof holds on this kernel, and what cannot be proved says why."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest
from click.testing import CliRunner

from sockmon.errors import LabUnavailable
from sockmon.labs import LABS
from sockmon.labs.stage import Stage
from sockmon.proofs import BY_KEY, ELSEWHERE, PROOFS, Finding, Proof, Step, running
from sockmon.proofs.running import measure, obstacle
from sockmon.prove import prove
from sockmon.tunables import BY_KEY as TUNABLES
from sockmon.tunables import TUNABLES as ROWS
from tests.netns import inside
from tests.test_cli import sockmon


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


FAULTS = {"net.core.somaxconn": "S22-", "net.core.rmem_max": "S23-"}
"""Faults of the catalogue that a proof shows, as a prefix of its test's name."""
OWN = {"netns", "pid namespace", "user namespace", "process"}
"""Scopes of which a namespace of its own has its own."""


def _value(key: str) -> str | None:
    path = Path("/proc/sys", key.replace(".", "/"))
    return path.read_text() if path.exists() else None


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: FAULTS.get(proof.key, "") + proof.key)
def test_the_kernel_does_what_is_told(proof: Proof) -> None:
    if reason := obstacle(proof):
        pytest.skip(reason)
    before, limits, value = _children(), _limits(), _value(proof.key)
    try:
        finding = measure(proof)
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert finding.holds, finding.verdict
    assert len(finding.steps) >= 2
    assert _children() <= before
    assert (_limits(), _value(proof.key)) == (limits, value)


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)]


def test_every_setting_has_a_proof_or_says_why_not() -> None:
    settable = {key for row in ROWS if row.settable for key in row.keys if key not in row.aliases}
    assert settable == set(BY_KEY) | set(ELSEWHERE)
    assert not set(BY_KEY) & set(ELSEWHERE)
    assert len(BY_KEY) == len(PROOFS)
    assert all(len(proof.title) <= 72 for proof in PROOFS)


def test_what_is_changed_by_a_proof_is_a_namespace_s_own() -> None:
    # Of rmem_max only the wall is shown, at the value that it has.
    assert {key for key in BY_KEY if TUNABLES[key].scope not in OWN} == {"net.core.rmem_max"}
    assert {TUNABLES[key].scope for key in ELSEWHERE} == {"host", "initial netns"}


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_setting_of_the_host_is_not_touched_and_what_shows_it_is_named(key: str) -> None:
    for verb in ELSEWHERE[key].instead:
        name = verb.rpartition(" ")[2]
        assert verb in (f"prove {name}", f"lab run {name}")
        assert name in (BY_KEY if verb.startswith("prove") else {lab.name for lab in LABS})
    with pytest.raises(LabUnavailable, match="without changing the host") as refused:
        running.prove(key, TUNABLES[key])
    assert refused.value.message.startswith(key)
    assert all(verb in refused.value.hint for verb in ELSEWHERE[key].instead)


def _words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("needs_userns")
def test_the_verb_says_it_in_words_and_numbers() -> None:
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
def test_the_limit_of_a_process_is_measured_on_one_of_our_own() -> None:
    found = json.loads(sockmon("prove", f"nofile@{os.getpid()}", "--json").stdout)
    assert (found["key"], found["holds"]) == ("nofile", True)


def _forbidden() -> tuple[int, str]:
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    done = sockmon("prove", "net.core.somaxconn")
    return done.returncode, done.stderr


@pytest.mark.usefixtures("needs_userns")
def test_where_user_namespaces_are_refused_it_says_so() -> None:
    code, said = inside(_forbidden)
    assert code == 1
    assert "user namespaces are refused here" in said
    assert "Traceback" not in said


def _otherwise(stage: Stage) -> Finding:
    return Finding([Step("a=1", "2", "it is 1", False)], "2 were there", "there is 1")


@pytest.mark.usefixtures("needs_userns")
def test_a_kernel_that_behaves_otherwise_is_told_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_KEY, "net.core.somaxconn", Proof("net.core.somaxconn", "", _otherwise, 1))
    done = CliRunner().invoke(prove, ["net.core.somaxconn"])
    assert done.exit_code == 2
    assert "NOT as told it is 1" in _words(done.output)
    assert "2 were there: this kernel behaves otherwise" in _words(done.output)


def test_without_a_key_all_are_listed_with_how_long_they_take() -> None:
    listed = json.loads(sockmon("prove", "--json").stdout)
    assert [row["key"] for row in listed] == list(BY_KEY)
    text = sockmon("prove").stdout
    assert all(f" {key}: " in text for key in (*BY_KEY, *ELSEWHERE))
    assert all(f"\n{proof.seconds} s " in text for proof in PROOFS)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("key", ["net.ipv4.tcp_tw_recycle", "net.ipv4.ip_conntrack_max"])
def test_a_key_that_is_gone_is_measured_to_be_absent(key: str) -> None:
    done = sockmon("prove", key)
    assert done.returncode == 0, done.stderr
    assert f"{key} is not in this kernel" in _words(done.stdout)


def test_what_cannot_be_proved_ends_in_words() -> None:
    done = sockmon("prove", "net.ipv4.tcp_max_orphans")
    assert done.returncode == 1
    assert "sockmon lab run tcp-orphans" in done.stderr
    assert "there is nothing to prove" in sockmon("prove", "fs.file-nr").stderr
    assert sockmon("prove", "net.nothing").returncode == 1
