"""What a runtime calls a container: its own state files, by the container's id.

Docker: containers/ID/config.v2.json (Moby, daemon/container/container.go). containerd, with CRI and nerdctl:
config.json of the bundle (core/runtime/v2/bundle.go) with the annotations of internal/cri/annotations and of
nerdctl. CRI-O: config.json in the run directory of containers/storage, with the labels of the kubelet. Podman:
containers.json of containers/storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.namespaces.cgroup_owner import (
    CONTAINERD,
    CRI_CONTAINERD,
    CRIO,
    DOCKER,
    NERDCTL,
    PODMAN,
    CgroupOwner,
)
from sockmon.kernel.namespaces.state_files import READER, StateFiles

DOCKER_ROOTS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")
CONTAINERD_STATES = ("/run/containerd", "/run/k3s/containerd", "/var/snap/microk8s/common/run/containerd")
STORAGE_ROOT, STORAGE_RUN = "/var/lib/containers/storage", "/run/containers/storage"
DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
"""Of containers/storage."""
_LISTS = ("containers", "volatile-containers")
_TASKS = "io.containerd.runtime.v2.task"
_POD_NAMESPACE = (
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.pod.namespace",
    "io.kubernetes.cri-o.Namespace",
)
_POD_NAME = ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName")
_CONTAINER_NAME = ("nerdctl/name", "io.kubernetes.cri.container-name", "io.kubernetes.container.name")


C = TypeVar("C")


class ContainerState(NamedTuple):
    """What the state files of a container say."""

    runtime: str
    name: str
    """Empty if they have no name, as those of containerd without CRI or nerdctl."""
    pod: str = ""
    """NAMESPACE/NAME; empty if it is in no pod of Kubernetes."""


class _DockerConfig(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(default=None, name="Labels")


class _DockerContainer(msgspec.Struct):
    name: str = msgspec.field(default="", name="Name")
    config: _DockerConfig | None = msgspec.field(default=None, name="Config")


class _DockerDaemon(msgspec.Struct):
    data_root: str = msgspec.field(default="", name="data-root")
    graph: str = ""


class _Bundle(msgspec.Struct):
    annotations: dict[str, str] | None = None


class _Stored(msgspec.Struct):
    id: str
    names: list[str] | None = None


def read_container(owner: CgroupOwner, files: StateFiles) -> ContainerState:
    """Return what is known of the container; raise ReadError: Forbidden if this user may not read it, NotPresent
    if no file of a runtime has it."""
    readers: dict[str, list[Callable[[CgroupOwner, StateFiles], ContainerState]]] = {
        DOCKER: [_docker],
        CRI_CONTAINERD: [_containerd],
        CRIO: [_crio],
        PODMAN: [_podman],
        NERDCTL: [_containerd],
        # The path says no runtime: the one that knows the id.
        "": [_docker, _containerd, _crio],
    }
    return _first(
        readers[owner.runtime], lambda read: read(owner, files), f"no state of {owner.id[:12]} was found"
    )


def _first(candidates: Iterable[C], read: Callable[[C], ContainerState], otherwise: str) -> ContainerState:
    """Return the answer of the first candidate that exists; Forbidden if one of the others may not be read."""
    forbidden: ReadError | None = None
    for candidate in candidates:
        try:
            return read(candidate)
        except Forbidden as error:
            forbidden = forbidden or error
        except NotPresent:
            pass
    raise forbidden or NotPresent(READER, otherwise)


def _docker(owner: CgroupOwner, files: StateFiles) -> ContainerState:
    home = owner.user is not None

    def read(root: str) -> ContainerState:
        found = files.decode(f"{root}/containers/{owner.id}/config.v2.json", _DockerContainer, home)
        labels = (found.config.labels if found.config else None) or {}
        return ContainerState(DOCKER, found.name.removeprefix("/"), _pod(labels))

    return _first(_docker_roots(owner.user, files), read, "Docker keeps its state elsewhere")


def _docker_roots(user: int | None, files: StateFiles) -> Iterator[str]:
    if user is not None:
        yield f"{files.home(user)}/.local/share/docker"
        return
    try:
        daemon = files.decode("/etc/docker/daemon.json", _DockerDaemon)
    except ReadError:
        daemon = _DockerDaemon()
    if root := daemon.data_root or daemon.graph:
        yield root
    yield from DOCKER_ROOTS


def _containerd(owner: CgroupOwner, files: StateFiles) -> ContainerState:
    def read(path: str) -> ContainerState:
        labels = files.decode(f"{path}/{owner.id}/config.json", _Bundle).annotations or {}
        runtime = NERDCTL if "nerdctl/name" in labels else CRI_CONTAINERD if _pod(labels) else CONTAINERD
        return ContainerState(runtime, _any_of(labels, _CONTAINER_NAME), _pod(labels))

    return _first(_containerd_folders(owner, files), read, "containerd keeps its state elsewhere")


def _containerd_folders(owner: CgroupOwner, files: StateFiles) -> Iterator[str]:
    """Yield the folders of tasks, one for each namespace of containerd; those that cannot be listed by their usual
    names."""
    for state in CONTAINERD_STATES:
        folder = f"{state}/{_TASKS}"
        try:
            names = files.names(folder)
        except ReadError:
            names = [owner.namespace or "k8s.io", "default"]
        yield from (f"{folder}/{name}" for name in names)


def _crio(owner: CgroupOwner, files: StateFiles) -> ContainerState:
    def read(root: str) -> ContainerState:
        path = f"{root}/overlay-containers/{owner.id}/userdata/config.json"
        labels = files.decode(path, _Bundle).annotations or {}
        return ContainerState(CRIO, _any_of(labels, _CONTAINER_NAME), _pod(labels))

    return _first((STORAGE_RUN, STORAGE_ROOT), read, "CRI-O keeps its state elsewhere")


def _podman(owner: CgroupOwner, files: StateFiles) -> ContainerState:
    home = owner.user is not None
    root = f"{files.home(owner.user)}/.local/share/containers/storage" if owner.user is not None else STORAGE_ROOT
    paths = [f"{root}/{driver}-containers/{name}.json" for driver in DRIVERS for name in _LISTS]
    if owner.user is None:
        # With a transient store they are on tmpfs.
        paths += [f"{STORAGE_RUN}/{driver}-containers/volatile-containers.json" for driver in DRIVERS]

    def read(path: str) -> ContainerState:
        for stored in files.decode(path, list[_Stored], home):
            if stored.id == owner.id and stored.names:
                return ContainerState(PODMAN, stored.names[0])
        raise NotPresent(READER, f"{path} does not have it")

    return _first(paths, read, "Podman keeps its state elsewhere")


def _pod(labels: Mapping[str, str]) -> str:
    name, namespace = _any_of(labels, _POD_NAME), _any_of(labels, _POD_NAMESPACE)
    return f"{namespace}/{name}" if name and namespace else ""


def _any_of(labels: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((labels[key] for key in keys if labels.get(key)), "")
