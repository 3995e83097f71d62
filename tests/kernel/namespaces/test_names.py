"""What a network namespace is called: by its oldest process or its mounts; never by the name of another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.kernel.namespaces.discovery import FoundNetns
from sockmon.kernel.namespaces.names import Named, NamespaceNames
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.model.other_netns import NetnsName
from sockmon.model.snapshot import Process
from tests.kernel.namespaces.fake_proc import FakeProc
from tests.kernel.namespaces.state_trees import (
    BUNDLE,
    CRIO_SANDBOX,
    CRUN_STATUS,
    ID,
    RUNC_STATE,
    UID,
    bundle,
    docker,
    write,
)
from tests.snapshots import process

DOCKER = f"/system.slice/docker-{ID}.scope"
OTHER = f"/docker/{'0' * 64}"
POD = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope"
CONFIG = f"var/lib/docker/containers/{ID}/config.v2.json"


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[FakeProc]:
    fake = FakeProc(tmp_path / "proc")
    yield fake
    os.close(fake.descriptor)


def named(proc: FakeProc, found: FoundNetns[Process], root: Path | str = "/nowhere") -> Named:
    return NamespaceNames(proc.descriptor, StateFiles(str(root))).name(found)


@pytest.mark.parametrize("readable", [True, False])
def test_a_container_names_its_namespace(readable: bool, proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {CONFIG: docker()})
    proc.add(12, DOCKER)
    proc.add(13, DOCKER, parent=12)
    found = named(proc, proc.found(12, 13, readable=readable), tmp_path)
    assert found == (NetnsName("container", "web", "docker", ID), "web")


def test_a_pod_is_one_name_for_all_its_containers(proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {f"run/containers/storage/{BUNDLE}": bundle(CRIO_SANDBOX)})
    proc.add(12, POD)
    proc.add(13, POD.replace(ID, "0" * 64))
    called = NetnsName("pod", "shop/web-0", "cri-o", ID)
    mounts = (f"/run/netns/{UID}",)
    assert named(proc, proc.found(12, 13, mounts=mounts), tmp_path) == (called, "shop/web-0")
    (tmp_path / f"var/log/pods/shop_web-0_{UID}").mkdir(parents=True)
    assert named(proc, proc.found(12, 13), tmp_path).called == called


def test_the_oldest_process_decides_and_a_helper_outside_of_the_container_does_not(
    proc: FakeProc, tmp_path: Path
) -> None:
    write(tmp_path, {CONFIG: docker()})
    proc.add(11, "/system.slice/docker.service")
    proc.add(12, DOCKER)
    proc.add(13, OTHER)
    assert named(proc, proc.found(11, 12, 13), tmp_path).argument == "web"


def test_a_name_that_may_not_be_read_is_the_id_with_the_reason(proc: FakeProc) -> None:
    proc.add(12, DOCKER)
    proc.add(22, POD, "b")
    called, argument = named(proc, proc.found(12))
    assert called is not None
    assert (called.name, argument, called.container) == (ID[:12], ID[:12], ID)
    assert called.reason
    called, argument = named(proc, proc.found(22))
    assert called is not None
    assert (called.kind, called.name, argument) == ("pod", UID, UID)
    assert ID[:12] in called.reason or ID in called.reason


def test_a_namespace_that_a_process_of_a_container_has_made_is_not_the_containers(
    proc: FakeProc, tmp_path: Path
) -> None:
    write(tmp_path, {CONFIG: docker()})
    proc.add(12, DOCKER)
    proc.add(13, DOCKER, "b", parent=12)
    assert named(proc, proc.found(12), tmp_path).argument == "web"
    inner = named(proc, proc.found(13), tmp_path)
    assert inner.called is not None
    assert (inner.called.name, inner.argument) == ("web", "")


def test_a_pid_that_is_another_namespace_by_now_names_nothing(proc: FakeProc, tmp_path: Path) -> None:
    """12 was in the namespace when it was found; it has ended, and a process of a container has its pid."""
    write(tmp_path, {CONFIG: docker()})
    proc.add(11, "/")
    proc.add(12, DOCKER, "b")
    found = proc.found(11, 12)
    assert named(proc, found, tmp_path) == (None, "")
    hidden = proc.found(11, 12, readable=False)
    assert named(proc, hidden, tmp_path) == (None, "")
    found.processes = [*found.processes[:1], process(pid=99)]
    assert named(proc, found, tmp_path) == (None, "")


def test_a_name_of_ip_netns_comes_before_a_unit_and_after_a_container(proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {CONFIG: docker()})
    proc.add(12, "/system.slice/vpn.service")
    proc.add(22, DOCKER, "b")
    proc.add(32, "/user.slice/user-0.slice/session-2.scope", "c")
    blue = ("/run/netns/blue",)
    assert named(proc, proc.found(12)) == (NetnsName("unit", "vpn.service"), "vpn.service")
    assert named(proc, proc.found(12, mounts=("/run/docker/netns/1",))).argument == "vpn.service"
    assert named(proc, proc.found(12, mounts=blue)) == (NetnsName("netns", "blue"), "blue")
    assert named(proc, proc.found(22, mounts=blue), tmp_path).argument == "web"
    assert named(proc, proc.found(32)) == (None, "")
    assert named(proc, proc.found(32, mounts=blue)).argument == "blue"
    assert named(proc, proc.found(mounts=blue)) == (NetnsName("netns", "blue"), "blue")


@pytest.mark.parametrize("name", ["", "/\x1b[2Jweb", "/" + "w" * 4000, "/4711", "/-x", "//etc"])
def test_a_hostile_name_is_harmless_and_no_argument(name: str, proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {CONFIG: docker(name)})
    proc.add(12, DOCKER)
    called, argument = named(proc, proc.found(12), tmp_path)
    assert called is not None
    assert called.name.isprintable()
    assert 0 < len(called.name) <= 128
    assert argument in (ID, ID[:12])


def test_machines_and_lxc(proc: FakeProc) -> None:
    proc.add(12, "/machine.slice/machine-web\\x2d1.scope/payload")
    proc.add(22, "/lxc.payload.db", "b")
    assert named(proc, proc.found(12)) == (NetnsName("machine", "web-1", "machined"), "web-1")
    assert named(proc, proc.found(22)) == (NetnsName("container", "db", "lxc"), "db")


def test_no_descriptor_is_left_open(proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {CONFIG: "{"})
    proc.add(12, DOCKER)
    (proc.root / "12/cgroup").unlink()
    proc.add(13, DOCKER)
    before = os.listdir("/proc/self/fd")
    for pids in ((12,), (13,), (12, 13)):
        named(proc, proc.found(*pids), tmp_path)
    assert os.listdir("/proc/self/fd") == before


def test_the_namespace_of_process_1_is_the_hosts_not_that_of_its_services(proc: FakeProc) -> None:
    proc.add(1, "/init.scope")
    proc.add(12, "/system.slice/cron.service")
    assert named(proc, proc.found(1, 12)) == (NetnsName("host", "host"), "1")


def test_a_container_without_an_engine_is_known_by_its_state_file(proc: FakeProc, tmp_path: Path) -> None:
    write(tmp_path, {"run/runc/sm-alone/state.json": RUNC_STATE, "run/crun/sm-crun/status": CRUN_STATUS})
    proc.add(12, "/mine/sm-alone/payload.service")
    proc.add(13, "/sm-crun", netns="b")
    called = NetnsName("container", "sm-alone", "runc", "sm-alone")
    assert named(proc, proc.found(12), tmp_path) == (called, "sm-alone")
    called = NetnsName("container", "sm-crun", "crun", "sm-crun")
    assert named(proc, proc.found(13), tmp_path) == (called, "sm-crun")
    # Without the state files the unit is all that is known.
    assert named(proc, proc.found(12)).called == NetnsName("unit", "payload.service")
    assert named(proc, proc.found(13)) == (None, "")


@pytest.mark.parametrize(
    ("cgroup", "state"),
    [
        ("/other/sm-alone", RUNC_STATE),
        ("/mine/sm-alone", {**RUNC_STATE, "id": "another"}),
        ("/mine/sm-alone", {**RUNC_STATE, "cgroup_paths": None}),
        ("/mine/sm-alone", {**RUNC_STATE, "cgroup_paths": {"pids": "/sys/fs/cgroup/pids/mine/sm-alone2"}}),
        ("/mine/sm-alone", [1]),
        ("/..", RUNC_STATE),
        ("/mine/sm-alone", "\x00" * 4096),
    ],
)
def test_a_state_file_of_another_container_names_nothing(
    cgroup: str, state: object, proc: FakeProc, tmp_path: Path
) -> None:
    write(tmp_path, {"run/runc/sm-alone/state.json": state})
    proc.add(12, cgroup)
    assert named(proc, proc.found(12), tmp_path) == (None, "")


def test_a_pod_of_podman_has_the_name_of_its_first_container(proc: FakeProc, tmp_path: Path) -> None:
    stored = [{"id": ID, "names": ["0f3e1a2b3c4d-infra"]}, {"id": "1" * 64, "names": ["web"]}]
    write(tmp_path, {"var/lib/containers/storage/overlay-containers/containers.json": stored})
    proc.add(12, f"/machine.slice/libpod-{ID}.scope")
    proc.add(13, f"/machine.slice/libpod-{'1' * 64}.scope")
    assert named(proc, proc.found(12, 13), tmp_path).called == NetnsName("container", "web", "podman", "1" * 64)
    alone = named(proc, proc.found(12), tmp_path).called
    assert alone is not None
    assert alone.name == "0f3e1a2b3c4d-infra"
