"""What a line of a log names: a port, the path of a unix socket, a count, a program. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from sockmon.explain.symptoms import Cause, Symptom
from sockmon.explain.symptoms.symptom import PORT_KEYS
from sockmon.text import sanitize

_FILES = r"(?!\S*\.(?:go|py|c|cc|cpp|h|java|js|ts|rs|rb|php|cfg|conf|ya?ml|toml):)"
"""`server.go:112` is a line of a source file."""
_ADDRESS = re.compile(
    rf"(?<![\w.:]){_FILES}(?:\[[0-9a-f:.%]*\]|\d+\.\d+\.\d+\.\d+|\*|::\*?|[a-z][\w-]*(?:\.[\w-]+)*)?:(\d{{1,5}})(?![\w:.]*\d*:\d)\b",
    re.IGNORECASE,
)
_PORT = re.compile(
    r"\bport[ :=]+(?:\S*:)?(\d{1,5})\b|\*\.(\d{1,5})\b|\bport \S*\]?:(\d{1,5})\b"
    r"|\('[\w.:]*', (\d{1,5})\)|/dev/(?:tcp|udp)/\S+/(\d{1,5})\b|htons\((\d{1,5})\)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\[(?:[0-9.]+|\*|::):(\d{1,5})\](?!:)")
"""HAProxy writes `[0.0.0.0:80]`."""
_NOT_HOSTS = frozenset(("errno", "error", "code", "pid", "line", "uid", "fd", "status", "have"))
_PATH = re.compile(
    r"unix:(/[^\s:,;\"')]+)|sun_path=\"(/[^\"]+)"
    r"|\b(?:unix|unixgram) \"?(?:\S*->)?(@?/[^\s\",;]+?)(?=[\s\",;]|: |:$|$)"
    r"|(@?/[\w./@+-]*(?:\.sock(?:et)?\b|\.s\.PGSQL\.\d+|/dev/log\b|/notify\b))|(/dev/log)\b"
)
_COUNT = re.compile(
    r"\bhave (\d+) already|maxsock=(\d+)|\[(\d+)\][^\[]*is too low|^\D*(\d+) worker_connections|"
    r"current limit is (\d+)|\bFD limit \((\d+)\)|maximum open files is (\d+)|resource limit: (\d+)|"
    r"max(?:imum)? of (\d+)|limit (?:of |is |\()?(\d+)|file-max limit (\d+)"
)
_PROTOCOL = re.compile(r"\b(tcp|udp)[46]?\b", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?<![\w.])(127\.\d+\.\d+\.\d+|localhost|\[::1\])(?=:\d)")
_PROGRAM = re.compile(
    r"(?:^|\s)(?:\S*/)?([A-Za-z][\w.-]*)\[(\d+)\]:|\bpid: (\d+), comm: ([\w.-]+)|^([a-z][\w-]+): "
)
"""The tag of syslog, what the kernel writes of a process, and the name that begins the messages of a command."""
_VICTIM = re.compile(r"\b([\w.-]+) \((\d+)\): VmData|\bKilled process (\d+) \(([^)]*)\)")
_LIMITS_CONF = re.compile(r"pam_limits.*'nofile'")
_NGINX = re.compile(r"(?:^|\s)(\d+)#\d+: ")
_HAPROXY = re.compile(r"^Proxy \S+ reached |\bmaxsock=\d")
_CGROUP = re.compile(r"\bpids controller in (/\S*)|\btask_memcg=(/[^\s,]*)")
_COMM_CHARS = 15
"""The kernel keeps that much of the name of a process."""
_CONTEXT = re.compile(r", client: | - Local \(")
"""nginx and Node write other addresses after the one that failed."""
MAX_PORT = 65_535


@dataclass(frozen=True)
class LogLine:
    """A line of a log, and what it names."""

    text: str
    port: int | None = None
    """The last port in the line, which is the remote one of `read udp A:39142->B:53`; 0 if it was left to the
    kernel."""
    path: str = ""
    """The path of a unix socket."""
    count: int | None = None
    protocol: str = ""
    """tcp or udp, if the line names one."""
    loopback: str = ""
    """The loopback address of the port; empty if it is another address, or not known."""
    program: str = ""
    """The name of the process that failed, as far as the kernel keeps it."""
    pid: int | None = None
    cgroup: str = ""
    """The path of a cgroup, in a line of the kernel."""

    def names(self, cause: Cause) -> bool:
        """Return whether the line names this cause."""
        if any(re.search(mark, self.text, re.IGNORECASE) for mark in cause.marks):
            return True
        return bool(self.port) and cause.key in PORT_KEYS

    @property
    def names_limits_conf(self) -> bool:
        """Return whether pam_limits could not set the number of descriptors."""
        return _LIMITS_CONF.search(self.text) is not None

    def is_from(self, name: str, pid: int, running: Collection[int]) -> bool:
        """Return whether the process may have written the line; `running`: the pids of this machine."""
        if self.pid in running:
            return pid == self.pid
        return name == self.program


def read_log_line(text: str) -> LogLine:
    """Return what `text` names."""
    text = sanitize(text)
    subject = _CONTEXT.split(text)[0]
    path = _first(_PATH, subject)
    return LogLine(
        text,
        None if path else _port(subject),
        path,
        _number(_first(_COUNT, text)),
        _first(_PROTOCOL, subject).lower(),
        _first(_LOOPBACK, subject),
        *_program(text),
        _first(_CGROUP, text),
    )


def is_log_line(text: str, symptom: Symptom) -> bool:
    """Return whether `text` is more than a name of `symptom`."""
    names = {name.lower() for name in (symptom.name, *symptom.other_names)}
    return text.strip().lower() not in names


def _program(text: str) -> tuple[str, int | None]:
    if match := _NGINX.search(text):
        return "nginx", int(match[1])
    if _HAPROXY.search(text):
        return "haproxy", None
    if match := _VICTIM.search(text):
        return match[1] or match[4], int(match[2] or match[3])
    if match := _PROGRAM.search(text):
        name = next(filter(None, (match[1], match[4], match[5])))
        return name[:_COMM_CHARS], _number(match[2] or match[3] or "")
    return "", None


def _port(text: str) -> int | None:
    found = [match[1] for match in _BRACKETED.finditer(text)]
    found = found or [
        match[1] for match in _ADDRESS.finditer(text) if match[0].rpartition(":")[0].lower() not in _NOT_HOSTS
    ]
    found = found or [next(filter(None, match.groups())) for match in _PORT.finditer(text)]
    ports = [int(each) for each in found if int(each) <= MAX_PORT]
    return ports[-1] if ports else None


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return next(filter(None, match.groups()), "") if match else ""


def _number(text: str) -> int | None:
    return int(text) if text else None
