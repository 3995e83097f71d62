"""What a connection takes in a program of one shape: a server, a proxy or a client, with epoll or with threads.

Bytes are those of Linux 6.18 on x86_64, measured with 15,000 idle connections: slabs by their growth, which
includes what their pages waste. `tests/guides/test_launch.py` measures them again."""

from __future__ import annotations

from typing import Literal, NamedTuple

Role = Literal["server", "proxy", "client"]
Model = Literal["epoll", "threads"]
ROLES: tuple[Role, ...] = ("server", "proxy", "client")
MODELS: tuple[Model, ...] = ("epoll", "threads")

END_BYTES = 3850
"""One end of an idle TCP connection: tcp_sock 2,368, inode 832, dentry 192, file 192, security
labels, and waste."""
BIND_BYTES = 256
"""The two bind buckets of a port that connect() has chosen (inet_bind_bucket, inet_bind2_bucket)."""
WATCH_BYTES = 192
"""A descriptor in an epoll set: struct epitem 128, struct eppoll_entry 64."""
TRACKED_BYTES = 320
"""An entry of connection tracking: struct nf_conn 256, and its extensions."""
THREAD_BYTES = 28 << 10
"""An idle thread in the kernel: stack 16 kB, task_struct and its maps 8 kB, page tables 4 kB."""
STACK_BYTES = 12 << 10
"""Memory of its own that an idle thread touches, at least: its stack and thread-local data."""
BYTES_TOLERANCE = 0.15
"""How far the kernel memory of an idle connection may be off, as a share of it."""
IDLE_PER_PAGE = 200
"""Idle ends that one page of net.ipv4.tcp_mem is charged for: measured with a million of them."""


class Shape(NamedTuple):
    """A program that holds connections."""

    role: Role
    model: Model

    @property
    def id(self) -> str:
        """Return `proxy-epoll`."""
        return f"{self.role}-{self.model}"

    @property
    def label(self) -> str:
        """Return `a proxy with epoll`."""
        model = "epoll" if self.model == "epoll" else "a thread per connection"
        return f"a {self.role} with {model}"

    @property
    def ends(self) -> int:
        """Return the sockets, descriptors and flows of a connection: a proxy has one to each side."""
        return 2 if self.role == "proxy" else 1

    @property
    def ports(self) -> int:
        """Return the local ports of a connection: only connect() takes one."""
        return 0 if self.role == "server" else 1

    @property
    def watches(self) -> int:
        """Return the epoll watches of a connection."""
        return self.ends if self.model == "epoll" else 0

    @property
    def threads(self) -> int:
        """Return the threads of a connection."""
        return 1 if self.model == "threads" else 0

    @property
    def maps(self) -> int:
        """Return the memory maps of a connection: the stack of its thread, and the guard page below it. An
        interpreter can take more."""
        return 2 * self.threads

    @property
    def kernel_bytes(self) -> int:
        """Return the kernel memory of an idle connection, without connection tracking."""
        sockets = self.ends * END_BYTES + self.ports * BIND_BYTES
        return sockets + self.watches * WATCH_BYTES + self.threads * THREAD_BYTES

    @property
    def bytes(self) -> int:
        """Return that with what its thread touches; the memory of the application is not known."""
        return self.kernel_bytes + self.threads * STACK_BYTES


SHAPES = tuple(Shape(role, model) for role in ROLES for model in MODELS)
BY_ID = {shape.id: shape for shape in SHAPES}
