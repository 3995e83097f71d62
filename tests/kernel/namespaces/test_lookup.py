"""`--netns NAME`: which namespace has the name, which ones if several have it, and never another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.errors import NoSuchNamespace
from sockmon.kernel.namespaces.cgroup_owner import CgroupOwner
from sockmon.kernel.namespaces.discovery import FoundNetns
from sockmon.kernel.namespaces.lookup import distinct_names, is_id, matching, open_named
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.model.other_netns import NetnsName
from tests.kernel.namespaces.fake_proc import FakeProc
from tests.kernel.namespaces.state_trees import (
    BUNDLE,
    CRIO_SANDBOX,
    ID,
    NERDCTL,
    PODMAN,
    TASKS,
    UID,
    bundle,
    docker,
    write,
)

DOCKER = f"/system.slice/docker-{ID}.scope"
POD = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope"
NERD_ID = "1f" * 32
NERD = f"/system.slice/nerdctl-{NERD_ID}.scope"


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[FakeProc]:
    fake = FakeProc(tmp_path / "proc")
    yield fake
    os.close(fake.descriptor)


def opened(word: str, proc: FakeProc) -> tuple[int, str] | None:
    """The inode of the namespace called `word`, and how to enter it; the descriptor is closed again."""
    found = open_named(word, str(proc.root), str(proc.root.parent))
    if found is None:
        return None
    inode = os.fstat(found.descriptor).st_ino
    os.close(found.descriptor)
    return inode, found.entry


def inode(proc: FakeProc, pid: int) -> int:
    return (proc.root / str(pid) / "ns/net").stat().st_ino


@pytest.mark.parametrize("word", ["web", ID, ID[:12], ID[:20]])
def test_a_container_by_its_name_or_id(word: str, proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {f"var/lib/docker/containers/{ID}/config.v2.json": docker()})
    proc.add(1, "/init.scope", "host")
    proc.add(12, DOCKER)
    # It has unshared a namespace of its own, which is not that of the container.
    proc.add(13, DOCKER, "b", parent=12)
    assert opened(word, proc) == (inode(proc, 12), "12")
    assert opened("db", proc) is None
    assert opened("0" * 12, proc) is None


@pytest.mark.parametrize("word", ["shop/web-0", "web-0", UID, ID[:12]])
def test_a_pod_by_its_name_or_uid(word: str, proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {f"run/containers/storage/{BUNDLE}": bundle(CRIO_SANDBOX)})
    proc.add(12, POD)
    proc.add(13, POD.replace(ID, "0" * 64))
    assert opened(word, proc) == (inode(proc, 12), "12")
    assert opened("0" * 12, proc) == (inode(proc, 12), "13")


def test_machines_units_and_the_host(proc: FakeProc) -> None:
    proc.add(1, "/init.scope", "host")
    proc.add(12, "/machine.slice/machine-db.scope/payload", "a")
    proc.add(22, "/system.slice/vpn.service", "b")
    proc.add(32, "/lxc.payload.old", "c")
    for word, pid in (("db", 12), ("vpn.service", 22), ("old", 32), ("host", 1)):
        assert opened(word, proc) == (inode(proc, pid), str(pid))


def test_containers_that_share_a_namespace_lead_to_the_same(proc: FakeProc, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            f"var/lib/docker/containers/{ID}/config.v2.json": docker(),
            f"{TASKS}/default/{NERD_ID}/config.json": bundle(NERDCTL),
        },
    )
    proc.add(12, DOCKER)
    proc.add(13, NERD)
    assert opened("web", proc) == (inode(proc, 12), "12")
    assert opened("api", proc) == (inode(proc, 12), "13")


def test_a_name_that_several_have_is_an_error_that_says_which(proc: FakeProc, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            f"var/lib/docker/containers/{ID}/config.v2.json": docker(),
            f"{TASKS}/default/{NERD_ID}/config.json": bundle({"nerdctl/name": "web"}),
        },
    )
    proc.add(12, DOCKER, "a")
    proc.add(13, NERD, "b")
    with pytest.raises(NoSuchNamespace, match="web is the name of several") as refused:
        opened("web", proc)
    assert refused.value.hint == (
        f"container web of docker {ID[:12]}: --netns 12; container web of nerdctl {NERD_ID[:12]}: --netns 13"
    )
    assert opened(NERD_ID[:12], proc) == (inode(proc, 13), "13")
    assert opened(f"web@{NERD_ID[:12]}", proc) == (inode(proc, 13), "13")
    assert opened(f"web@{ID[:12]}", proc) == (inode(proc, 12), "12")
    assert opened(f"web@{ID[:5]}", proc) is None


def test_containers_of_one_name_are_told_apart_by_their_ids() -> None:
    one, two = NetnsName("container", "web", "docker", ID), NetnsName("container", "web", "podman", NERD_ID)
    other, mounted = NetnsName("container", "api", "docker", ID), NetnsName("netns", "web")
    assert distinct_names({1: one, 2: two, 3: other, 4: mounted}) == {
        1: f"web@{ID[:12]}",
        2: f"web@{NERD_ID[:12]}",
        3: "api",
        4: "web",
    }
    assert distinct_names({1: one, 3: other}) == {1: "web", 3: "api"}


def test_a_whole_name_comes_before_a_part_of_one(proc: FakeProc, tmp_path: Path) -> None:
    stored = PODMAN.replace('"web"', '"web-0"')
    write(
        tmp_path,
        {
            f"run/containers/storage/{BUNDLE}": bundle(CRIO_SANDBOX),
            "var/lib/containers/storage/overlay-containers/containers.json": stored.replace(ID, NERD_ID),
        },
    )
    proc.add(12, POD, "a")
    proc.add(13, f"/machine.slice/libpod-{NERD_ID}.scope", "b")
    assert opened("web-0", proc) == (inode(proc, 13), "13")
    assert opened("shop/web-0", proc) == (inode(proc, 12), "12")


def test_a_process_that_has_gone_elsewhere_meanwhile_is_not_taken(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {f"var/lib/docker/containers/{ID}/config.v2.json": docker()})
    proc.add(12, DOCKER)
    asked = []
    owner_in = NamespaceNames.owner_in

    def once(self: NamespaceNames, pid: int, found: FoundNetns[object]) -> CgroupOwner | None:  # type: ignore[type-var]
        asked.append(pid)
        return owner_in(self, pid, found) if len(asked) == 1 else None  # type: ignore[type-var]

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(NamespaceNames, "owner_in", once)
    assert opened("web", proc) is None
    assert asked == [12, 12]
    assert os.listdir("/proc/self/fd") == before


def test_ids_are_long_and_pids_are_not() -> None:
    assert is_id("0" * 12)
    assert is_id(ID)
    assert not is_id("4194304")
    assert not is_id("web-server-01")


def test_a_pattern_finds_all_names_and_an_ended_one_is_an_error_of_its_own(proc: FakeProc, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            f"var/lib/docker/containers/{ID}/config.v2.json": docker(),
            f"{TASKS}/default/{NERD_ID}/config.json": bundle({"nerdctl/name": "web-2"}),
        },
    )
    proc.add(1, "/init.scope", "host")
    proc.add(12, DOCKER, "a")
    proc.add(13, NERD, "b")
    proc.add(14, "/user.slice/session-2.scope", "c")
    before = os.listdir("/proc/self/fd")
    with matching("web*", str(proc.root), str(tmp_path)) as found:
        assert [each.called.name for each in found] == ["web", "web-2"]
        first = found[0].open()
        assert (first.entry, os.fstat(first.descriptor).st_ino) == ("12", inode(proc, 12))
        os.close(first.descriptor)
        shutil.rmtree(proc.root / "13")
        with pytest.raises(FileNotFoundError):
            found[1].open()
    with matching("*", str(proc.root), str(tmp_path)) as found:
        assert [each.called.name for each in found] == ["host", "web"]
    assert os.listdir("/proc/self/fd") == before
