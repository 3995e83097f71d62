"""The network namespaces that a mount keeps alive, with or without processes: nsfs in /proc/self/mountinfo.

`ip netns add` mounts them in /run/netns, Docker in /run/docker/netns, containerd, CRI-O and Podman in /run/netns
with a generated name. The line has the inode, so nothing is opened. Mounts in other mount namespaces are not
shown, such as those of rootless containers.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict

from sockmon.errors import ReadError
from sockmon.kernel import mountinfo
from sockmon.kernel.netlink import Incremental
from sockmon.model.snapshot import OTHER_NETNS

NAMED = ("/run/netns/", "/var/run/netns/")
"""Where ip-netns(8) looks for names."""
MAX_BYTES = 16 << 20
"""Of mountinfo; 1,000 containers on overlay have some 2 MB."""
_CHUNK_BYTES = 1 << 16
_NAMESPACE = re.compile(r"net:\[(\d{1,10})\]")
_GENERATED = re.compile(r"(cni-|netns-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_nsfs_mounts(proc: int) -> Incremental[dict[int, list[str]]]:
    """Return the mount points of each network namespace, by its inode; names of ip-netns(8) come first."""
    text = yield from _read_mountinfo(proc)
    found: defaultdict[int, set[str]] = defaultdict(set)
    for line in mountinfo.parse(text, (b"nsfs",)):
        if inode := _NAMESPACE.fullmatch(line.root):
            found[int(inode[1])].add(line.point)
    return {
        inode: sorted(points, key=lambda point: (not given_name(point), point)) for inode, points in found.items()
    }


def given_name(point: str) -> str:
    """Return what `ip netns` calls a mount point; empty if it is elsewhere, or a runtime made the name up."""
    for folder in NAMED:
        name = point.removeprefix(folder)
        if name != point and "/" not in name and not _GENERATED.fullmatch(name):
            return name
    return ""


def _read_mountinfo(proc: int) -> Incremental[bytes]:
    text = bytearray()
    try:
        descriptor = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            # The kernel answers with a page at a time, and at least one whole line.
            while len(text) < MAX_BYTES and (chunk := os.read(descriptor, _CHUNK_BYTES)):
                text += chunk
                yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReadError(OTHER_NETNS, f"/proc/self/mountinfo cannot be read ({error.strerror})") from error
    return bytes(text)
