"""What a runtime calls a container, from files as each runtime writes them, and from hostile ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.namespaces.cgroup_owner import CgroupOwner
from sockmon.kernel.namespaces.container_names import ContainerState, read_container
from sockmon.kernel.namespaces.machine_names import read_lxc, read_machine
from sockmon.kernel.namespaces.pod_names import read_pod
from sockmon.kernel.namespaces.state_files import MAX_BYTES, StateFiles
from sockmon.model.other_netns import CONTAINER
from tests.kernel.namespaces.state_trees import (
    BUNDLE,
    CRI_SANDBOX,
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

CONFIG = f"containers/{ID}/config.v2.json"
POD_LABELS = {"io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "shop"}
PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"


def owner(runtime: str, user: int | None = None, namespace: str = "") -> CgroupOwner:
    return CgroupOwner(CONTAINER, runtime, ID, user=user, namespace=namespace)


@pytest.mark.parametrize(
    ("files", "of", "state"),
    [
        ({f"var/lib/docker/{CONFIG}": docker()}, owner("docker"), ("docker", "web", "")),
        ({f"var/lib/docker/{CONFIG}": docker()}, owner(""), ("docker", "web", "")),
        ({f"var/snap/docker/common/var-lib-docker/{CONFIG}": docker()}, owner("docker"), ("docker", "web", "")),
        (
            {"etc/docker/daemon.json": {"data-root": "/srv/docker"}, f"srv/docker/{CONFIG}": docker()},
            owner("docker"),
            ("docker", "web", ""),
        ),
        (
            {f"var/lib/docker/{CONFIG}": docker("/k8s_POD_web-0", POD_LABELS)},
            owner("docker"),
            ("docker", "k8s_POD_web-0", "shop/web-0"),
        ),
        (
            {"etc/passwd": PASSWD, f"home/alice/.local/share/docker/{CONFIG}": docker()},
            owner("docker", user=1000),
            ("docker", "web", ""),
        ),
        (
            {f"{TASKS}/k8s.io/{ID}/config.json": bundle(CRI_SANDBOX)},
            owner("cri-containerd"),
            ("cri-containerd", "", "shop/web-0"),
        ),
        (
            {
                f"run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json": bundle(
                    CRI_SANDBOX | {"io.kubernetes.cri.container-name": "nginx"}
                )
            },
            owner("cri-containerd"),
            ("cri-containerd", "nginx", "shop/web-0"),
        ),
        ({f"{TASKS}/default/{ID}/config.json": bundle(NERDCTL)}, owner("nerdctl"), ("nerdctl", "api", "")),
        ({f"{TASKS}/mine/{ID}/config.json": bundle(None)}, owner(""), ("containerd", "", "")),
        (
            {f"run/containers/storage/{BUNDLE}": bundle(CRIO_SANDBOX)},
            owner("cri-o"),
            ("cri-o", "POD", "shop/web-0"),
        ),
        (
            {f"var/lib/containers/storage/{BUNDLE}": bundle(CRIO_SANDBOX)},
            owner(""),
            ("cri-o", "POD", "shop/web-0"),
        ),
        (
            {"var/lib/containers/storage/overlay-containers/containers.json": PODMAN},
            owner("podman"),
            ("podman", "web", ""),
        ),
        (
            {
                "var/lib/containers/storage/vfs-containers/containers.json": "[]",
                "var/lib/containers/storage/vfs-containers/volatile-containers.json": PODMAN,
            },
            owner("podman"),
            ("podman", "web", ""),
        ),
        (
            {"run/containers/storage/overlay-containers/volatile-containers.json": PODMAN},
            owner("podman"),
            ("podman", "web", ""),
        ),
        (
            {
                "etc/passwd": PASSWD,
                "home/alice/.local/share/containers/storage/overlay-containers/containers.json": PODMAN,
            },
            owner("podman", user=1000),
            ("podman", "web", ""),
        ),
    ],
)
def test_each_runtime_names_its_containers(
    files: Mapping[str, object], of: CgroupOwner, state: tuple[str, str, str], tmp_path: Path
) -> None:
    assert read_container(of, StateFiles(str(write(tmp_path, files)))) == ContainerState(*state)


@pytest.mark.parametrize("runtime", ["docker", "cri-containerd", "cri-o", "podman", "nerdctl", ""])
def test_a_container_that_no_file_has_is_not_present(runtime: str, tmp_path: Path) -> None:
    for of in (owner(runtime), owner(runtime, user=1000)):
        with pytest.raises(NotPresent):
            read_container(of, StateFiles(str(write(tmp_path, {"etc/passwd": PASSWD}))))


def test_the_home_of_an_unknown_user_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(NotPresent):
        read_container(owner("podman", user=4242), StateFiles(str(write(tmp_path, {"etc/passwd": PASSWD}))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"Name": 7}',
        '{"Name": "\\ud800"}',
        "[" * 100_000,
        '{"Config": []}',
        "\0" * 100,
        '{"Name": null}',
    ],
)
def test_a_file_that_is_not_what_the_runtime_writes_is_a_reason(text: str, tmp_path: Path) -> None:
    files = StateFiles(str(write(tmp_path, {f"var/lib/docker/{CONFIG}": text})))
    with pytest.raises(ReadError, match="not what its runtime writes"):
        read_container(owner("docker"), files)


def test_pipes_devices_folders_and_huge_files_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    path = write(tmp_path, {f"var/lib/docker/{CONFIG}": ""}) / "var/lib/docker" / CONFIG
    for make in (
        os.mkfifo,
        Path.mkdir,
        lambda at: at.symlink_to("/dev/zero"),
        lambda at: os.truncate(_new(at), MAX_BYTES + 1),
    ):
        _remove(path)
        make(path)
        with pytest.raises(ReadError, match="not a regular file"):
            read_container(owner("docker"), StateFiles(str(tmp_path)))


def _new(path: Path) -> Path:
    path.touch()
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


def test_a_renamed_container_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, {f"var/lib/docker/{CONFIG}": docker()}) / "var/lib/docker" / CONFIG
    files = StateFiles(str(tmp_path))
    assert read_container(owner("docker"), files).name == "web"
    assert read_container(owner("docker"), files).name == "web"
    # Moby writes a new file and renames it (atomicwriter).
    write(tmp_path, {"new": docker("/api-server")})
    (tmp_path / "new").rename(path)
    assert read_container(owner("docker"), files).name == "api-server"


@pytest.mark.usefixtures("unprivileged_only")
def test_what_this_user_may_not_read_is_forbidden(tmp_path: Path) -> None:
    path = write(tmp_path, {f"var/lib/docker/{CONFIG}": docker()})
    (path / "var/lib/docker").chmod(0)
    try:
        for runtime in ("docker", ""):
            with pytest.raises(Forbidden, match="needs root"):
                read_container(owner(runtime), StateFiles(str(path)))
    finally:
        (path / "var/lib/docker").chmod(0o700)


def test_a_pod_is_named_by_the_folder_of_its_logs(tmp_path: Path) -> None:
    folders = (f"shop_web-0_{UID}", "kube-system_etcd-node1_c3f8a5b1d2e4f60718293a4b5c6d7e8f", "junk", "a_b", UID)
    for name in folders:
        (tmp_path / "var/log/pods" / name).mkdir(parents=True)
    files = StateFiles(str(tmp_path))
    assert read_pod(UID, files) == "shop/web-0"
    assert read_pod("c3f8a5b1d2e4f60718293a4b5c6d7e8f", files) == "kube-system/etcd-node1"
    for unknown in ("0" * 32, "web-0", "b"):
        with pytest.raises(NotPresent):
            read_pod(unknown, files)


def test_a_machine_has_the_name_that_machined_links_to(tmp_path: Path) -> None:
    folder = write(tmp_path, {"run/systemd/machines/web": "NAME=web\n"}) / "run/systemd/machines"
    (folder / "unit:machine-lxc\\x2d7\\x2dweb.scope").symlink_to("web")
    files = StateFiles(str(tmp_path))
    assert read_machine("machine-lxc\\x2d7\\x2dweb.scope", files) == "web"
    assert read_machine("machine-other\\x2d1.scope", files) == "other-1"


@pytest.mark.parametrize(
    ("file", "cgroup", "found"),
    [
        ("var/lib/lxc/web/config", "web", ("lxc", "web")),
        ("var/lib/lxc/web/config", "web-2", ("lxc", "web")),
        ("var/lib/lxc/web-2/config", "web-2", ("lxc", "web-2")),
        ("var/lib/lxc/my_web/config", "my_web", ("lxc", "my_web")),
        ("run/incus/web/lxc.conf", "web", ("incus", "web")),
        ("run/incus/my_dev_web/lxc.conf", "my_dev_web", ("incus", "my_dev/web")),
        ("var/lib/lxd/containers/web/backup.yaml", "web", ("lxd", "web")),
        ("var/snap/lxd/common/lxd/containers/dev_web/backup.yaml", "dev_web", ("lxd", "dev/web")),
        ("var/lib/other", "web-2", ("lxc", "web-2")),
    ],
)
def test_a_container_of_lxc_is_named_by_who_manages_it(
    file: str, cgroup: str, found: tuple[str, str], tmp_path: Path
) -> None:
    assert read_lxc(cgroup, StateFiles(str(write(tmp_path, {file: ""})))) == found
