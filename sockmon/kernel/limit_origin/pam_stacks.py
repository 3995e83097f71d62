"""Which login programs run pam_limits, by the files of /etc/pam.d (pam.conf(5), libpam/pam_handlers.c)."""

from __future__ import annotations

import re
from typing import NamedTuple

from sockmon.kernel.limit_origin.config_files import ConfigFiles

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")
SERVICES = {
    "sshd": "sshd",
    "sshd-session": "sshd",
    "login": "login",
    "su": "su",
    "sudo": "sudo",
    "runuser": "runuser",
    "cron": "cron",
    "crond": "crond",
    "atd": "atd",
    "(sd-pam)": "systemd-user",
    "gdm-session-wor": "gdm-password",
    "sddm-helper": "sddm",
    "lightdm": "lightdm",
}
"""The service of /etc/pam.d by the name of the process, as far as the kernel keeps it."""
_LOGIN_SHELL = re.compile(r"-|-l|--login|-[a-z]*l[a-z]*")
_MAX_DEPTH = 8


class PamLimits(NamedTuple):
    """Whether the session part of a service runs pam_limits, and with which options."""

    runs: bool
    conf: str = ""
    """The file of conf=; empty for limits.conf and limits.d."""
    set_all: bool = False
    """True if limits without a line are taken from process 1 (set_all)."""


def service_of(name: str, arguments: list[str]) -> str:
    """Return the PAM service of a login program; empty if `name` is none."""
    # cron calls its child for a job CRON.
    service = SERVICES.get(name) or SERVICES.get(name.lower()) or ""
    if service in ("su", "runuser") and any(_LOGIN_SHELL.fullmatch(each) for each in arguments[1:2]):
        return f"{service}-l"
    if service == "sudo" and arguments[1:2] in (["-i"], ["--login"]):
        return "sudo-i"
    return service


def pam_limits(files: ConfigFiles, service: str) -> PamLimits:
    """Return how `service` runs pam_limits; the service `other` is used if it has no file."""
    name = service if _file(files, service) else "other"
    return _session(files, name, 0) or PamLimits(False)


def services_with_limits(files: ConfigFiles) -> tuple[str, ...]:
    """Return the services that run pam_limits and are programs, not parts of others."""
    names = {name for folder in FOLDERS for name in files.names(folder)}
    return tuple(sorted(name for name in names if not name.startswith("common-") and pam_limits(files, name).runs))


def _session(files: ConfigFiles, service: str, depth: int) -> PamLimits | None:
    name = _file(files, service)
    if not name or depth > _MAX_DEPTH:
        return None
    for raw in files.lines(name) or ():
        words = raw.partition("#")[0].split()
        if found := _read_line(files, words, depth):
            return found
    return None


def _read_line(files: ConfigFiles, words: list[str], depth: int) -> PamLimits | None:
    if len(words) == 2 and words[0] == "@include":
        return _session(files, words[1], depth + 1)
    if len(words) < 3 or words[0].lstrip("-").lower() != "session":
        return None
    rest = words[1:]
    if rest[0].startswith("["):
        # A control in brackets may have blanks.
        end = next((place for place, word in enumerate(rest) if word.endswith("]")), len(rest) - 1)
        rest = [" ".join(rest[: end + 1]), *rest[end + 1 :]]
    control, module, *options = rest if len(rest) > 1 else [rest[0], ""]
    if control in ("include", "substack"):
        return _session(files, module, depth + 1)
    if module.rpartition("/")[2] != "pam_limits.so":
        return None
    conf = next((each.removeprefix("conf=") for each in options if each.startswith("conf=")), "")
    return PamLimits(True, conf, "set_all" in options)


def _file(files: ConfigFiles, service: str) -> str:
    if "/" in service:
        return service if files.exists(service) else ""
    return next((f"{folder}/{service}" for folder in FOLDERS if files.exists(f"{folder}/{service}")), "")
