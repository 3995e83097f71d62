"""State files as each runtime writes them: those of Podman captured, the others as their sources encode them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ID = "8e2e513fdcbb8acbc16c3b40338f01aa9ce1226d6c56a7739188a1705eedaffb"
UID = "0b1d3c57-9f3a-4f6e-8a4e-1d2c3b4a5f60"
TASKS = "run/containerd/io.containerd.runtime.v2.task"
BUNDLE = f"overlay-containers/{ID}/userdata/config.json"


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write `files` below `root`: text as it is, everything else as JSON; return `root`."""
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def docker(name: str = "/web", labels: Mapping[str, str] | None = None) -> dict[str, object]:
    """config.v2.json as json.NewEncoder writes `Container` of Moby b985e23 (daemon/container/container.go): fields
    without a tag have their Go names."""
    return {
        "State": {"Running": True, "Pid": 812, "StartedAt": "2026-11-29T02:39:07.79Z", "Health": None},
        "ID": ID,
        "Created": "2026-11-29T02:39:07.720453425Z",
        "Managed": False,
        "Path": "nginx",
        "Args": ["-g", "daemon off;"],
        "Config": {"Hostname": ID[:12], "Env": ["PATH=/usr/bin"], "Labels": labels},
        "Image": "sha256:" + ID,
        "NetworkSettings": {"SandboxID": ID, "SandboxKey": f"/var/run/docker/netns/{ID[:12]}", "Networks": {}},
        "Name": name,
        "MountPoints": {},
        "SecurityOptions": None,
    }


def bundle(annotations: Mapping[str, str] | None) -> dict[str, object]:
    """config.json of an OCI bundle (opencontainers/runtime-spec 1.2, config.go)."""
    return {
        "ociVersion": "1.2.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/pause"], "cwd": "/"},
        "hostname": "web-0",
        "annotations": annotations,
        "linux": {"namespaces": [{"type": "network", "path": "/var/run/netns/cni-" + UID}]},
    }


CRI_SANDBOX = {
    # containerd 301026e, internal/cri/annotations/annotations.go
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": ID,
    "io.kubernetes.cri.sandbox-log-directory": f"/var/log/pods/shop_web-0_{UID}",
    "io.kubernetes.cri.sandbox-name": "web-0",
    "io.kubernetes.cri.sandbox-namespace": "shop",
    "io.kubernetes.cri.sandbox-uid": UID,
}
CRIO_SANDBOX = {
    # CRI-O f954a17, server/sandbox_run_linux.go: its own annotations and the labels of the kubelet
    "io.container.manager": "cri-o",
    "io.kubernetes.container.name": "POD",
    "io.kubernetes.cri-o.ContainerName": f"k8s_POD_web-0_shop_{UID}_0",
    "io.kubernetes.cri-o.ContainerType": "sandbox",
    "io.kubernetes.cri-o.KubeName": "web-0",
    "io.kubernetes.cri-o.Namespace": "shop",
    "io.kubernetes.pod.name": "web-0",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.uid": UID,
}
# nerdctl 8da5040, pkg/cmd/container/create.go: its labels become annotations
NERDCTL = {"nerdctl/name": "api", "nerdctl/namespace": "default", "nerdctl/hostname": "0f3e"}
# Captured from Podman 4.3.1 of Debian 12
PODMAN = (
    f'[{{"id":"{"0" * 64}","names":["other"],"image":"","layer":"d258d7","metadata":"{{}}"}},'
    f'{{"id":"{ID}","names":["web"],"image":"","layer":"d258d70a65df","metadata":"{{\\"image-name\\":\\"\\",'
    '\\"image-id\\":\\"\\",\\"name\\":\\"web\\",\\"created-at\\":1795919927}","created":"2026-11-29T02:38:47.783719021Z",'
    '"flags":{"MountLabel":"","ProcessLabel":""}}]'
)
# Captured from runc 1.1.5 of Debian 12, without its config
RUNC_STATE = {
    "id": "sm-alone",
    "init_process_pid": 10193,
    "init_process_start": 125838,
    "created": "2026-11-29T06:50:46.090948899Z",
    "rootless": False,
    "cgroup_paths": {"": "/sys/fs/cgroup/unified/sm-alone", "pids": "/sys/fs/cgroup/pids/mine/sm-alone"},
    "namespace_paths": {"NEWNET": "/proc/10193/ns/net"},
    "external_descriptors": ["/dev/null", "/dev/null", "/dev/null"],
    "intel_rdt_path": "",
}
# crun 0138c64, src/libcrun/status.c
CRUN_STATUS = {
    "pid": 812,
    "process-start-time": 2211,
    "cgroup-path": "/sm-crun",
    "scope": "",
    "rootfs": "/srv/rootfs",
    "systemd-cgroup": False,
    "bundle": "/srv",
    "created": "2026-11-29T06:50:46.090948Z",
    "detached": True,
    "external_descriptors": "[]",
}
