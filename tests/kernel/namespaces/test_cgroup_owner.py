"""Whose cgroup a path is: the paths that each runtime makes, by its cgroup driver."""

from __future__ import annotations

import pytest

from sockmon.kernel.namespaces.cgroup_owner import CgroupOwner, machine_of_unit, owner_of_cgroup
from sockmon.model.other_netns import CONTAINER, MACHINE, POD, UNIT

ID = "8e2e513fdcbb8acbc16c3b40338f01aa9ce1226d6c56a7739188a1705eedaffb"
OTHER = "0" * 64
UID = "0b1d3c57-9f3a-4f6e-8a4e-1d2c3b4a5f60"
UNDERSCORED = UID.replace("-", "_")
STATIC = "c3f8a5b1d2e4f60718293a4b5c6d7e8f"
POD_SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (f"/docker/{ID}", CgroupOwner(CONTAINER, "docker", ID)),
        (f"/system.slice/docker-{ID}.scope", CgroupOwner(CONTAINER, "docker", ID)),
        (f"{USER}/user.slice/docker-{ID}.scope", CgroupOwner(CONTAINER, "docker", ID, user=1000)),
        (f"/docker/{ID}/system.slice/nginx.service", CgroupOwner(CONTAINER, "docker", ID)),
        (f"/custom/{ID}", CgroupOwner(CONTAINER, "", ID, namespace="custom")),
        (f"/default/{ID}", CgroupOwner(CONTAINER, "", ID, namespace="default")),
        (f"/system.slice/nerdctl-{ID}.scope", CgroupOwner(CONTAINER, "nerdctl", ID)),
        (f"/libpod_parent/libpod-{ID}", CgroupOwner(CONTAINER, "podman", ID)),
        (f"/machine.slice/libpod-{ID}.scope/container", CgroupOwner(CONTAINER, "podman", ID)),
        (f"{USER}/user.slice/libpod-{ID}.scope/container", CgroupOwner(CONTAINER, "podman", ID, user=1000)),
        (f"/system.slice/web.service/libpod-payload-{ID}", CgroupOwner(CONTAINER, "podman", ID)),
        (f"{POD_SLICE}/cri-containerd-{ID}.scope", CgroupOwner(POD, "cri-containerd", ID, UID)),
        (f"{POD_SLICE}/crio-{ID}.scope", CgroupOwner(POD, "cri-o", ID, UID)),
        (f"{POD_SLICE}/docker-{ID}.scope", CgroupOwner(POD, "docker", ID, UID)),
        (f"/kubepods/besteffort/pod{UID}/{ID}", CgroupOwner(POD, "", ID, UID)),
        (f"/kubepods/pod{STATIC}/{ID}", CgroupOwner(POD, "", ID, STATIC)),
        (f"/kubepods.slice/kubepods-pod{STATIC}.slice/crio-{ID}.scope", CgroupOwner(POD, "cri-o", ID, STATIC)),
        (f"{POD_SLICE}", CgroupOwner(POD, "", "", UID)),
        (f"/kubelet/kubepods/burstable/pod{UID}/{ID}", CgroupOwner(POD, "", ID, UID)),
        ("/lxc.payload.web", CgroupOwner(CONTAINER, "lxc", "web")),
        ("/lxc.payload.web/system.slice/nginx.service", CgroupOwner(CONTAINER, "lxc", "web")),
        ("/lxc/web/init.scope", CgroupOwner(CONTAINER, "lxc", "web")),
        (f"{USER}/app.slice/lxc.payload.web", CgroupOwner(CONTAINER, "lxc", "web", user=1000)),
        (
            "/machine.slice/machine-web\\x2d1.scope/payload",
            CgroupOwner(MACHINE, "machined", "machine-web\\x2d1.scope"),
        ),
        (
            "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
            CgroupOwner(MACHINE, "machined", "systemd-nspawn@web.service"),
        ),
        ("/system.slice/nginx.service", CgroupOwner(UNIT, "", "nginx.service")),
        ("/system.slice/system-x.slice/x@1.service/worker", CgroupOwner(UNIT, "", "x@1.service")),
        (f"{USER}/app.slice/web.service", CgroupOwner(UNIT, "", "web.service", user=1000)),
        ("/system.slice/runc-web.scope", CgroupOwner(CONTAINER, "runc", "web")),
        ("/user.slice/crun-web_1.scope/payload", CgroupOwner(CONTAINER, "crun", "web_1")),
        # A container in a container is the inner one.
        (f"/docker/{OTHER}/docker/{ID}", CgroupOwner(CONTAINER, "docker", ID)),
        (f"/lxc.payload.web/docker/{ID}", CgroupOwner(CONTAINER, "docker", ID)),
        (f"/../{ID}", CgroupOwner(CONTAINER, "", ID, namespace="..")),
    ],
)
def test_each_runtime_is_known_by_its_path(path: str, owner: CgroupOwner) -> None:
    assert owner_of_cgroup(path) == owner


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/user.slice/user-0.slice/session-3.scope", "/init.scope", USER, f"{USER}/init.scope"),
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/system.slice/crio-conmon-{ID}.scope",
        "/lxc.monitor.web",
        f"/docker/{ID[:12]}",
        f"/docker-{ID}.scope.d",
        f"/pod{UID}",
        "/kubepods/burstable",
    ],
)
def test_what_is_nobodys(path: str) -> None:
    assert owner_of_cgroup(path) is None


@pytest.mark.parametrize(
    ("unit", "machine"),
    [
        ("machine-web.scope", "web"),
        ("machine-web\\x2d1.scope", "web-1"),
        ("systemd-nspawn@web\\x2d1.service", "web-1"),
        ("machine-w\\xc3\\xa9b.scope", "wéb"),
        ("machine-\\xff.scope", "�"),
    ],
)
def test_a_machine_is_unescaped(unit: str, machine: str) -> None:
    assert machine_of_unit(unit) == machine
