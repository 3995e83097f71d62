"""The credential `sysctl.extra`, which systemd-sysctl reads after all files, as one more of them.

From systemd-sysctl.service(8) and systemd.exec(5): the unit inherits it, since systemd 252, from what the service
manager received, else from a credstore directory. The encrypted ones count since ImportCredential= is in the unit.
"""

from __future__ import annotations

import os
from pathlib import Path

from sockmon.tuning.boot.sysctl_d import SysctlFile, UnreadableFile, read_file, unread_reason

NAME = "sysctl.extra"
_UNITS = tuple(
    f"{directory}/systemd-sysctl.service"
    for directory in ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
)
_PLAIN = (
    "run/credentials/@system",
    "etc/credstore",
    "run/credstore",
    "usr/local/lib/credstore",
    "usr/lib/credstore",
)
_ENCRYPTED = (
    "run/credentials/@encrypted",
    *(f"{place}/credstore.encrypted" for place in ("etc", "run", "usr/local/lib", "usr/lib")),
)


def credential_file(root: str | Path = "/") -> SysctlFile | None:
    """Return the credential as a file that systemd-sysctl reads last; None if its unit has none."""
    unit = _unit(Path(root))
    imports = f"ImportCredential={NAME}".encode() in unit
    if not imports and f"LoadCredential={NAME}".encode() not in unit:
        return None
    for directory in (*_PLAIN, *(_ENCRYPTED if imports else ())):
        name = f"/{directory}/{NAME}"
        try:
            os.lstat(Path(root, directory, NAME))
            raw = read_file(Path(root, directory, NAME))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnreadableFile) as error:
            return SysctlFile(name, b"", unread=unread_reason(name, error))
        if directory in _ENCRYPTED:
            return SysctlFile(name, b"", unread=f"{name} cannot be read: it is encrypted")
        return SysctlFile(name, raw)
    return None


def _unit(root: Path) -> bytes:
    """Return the first unit file of systemd-sysctl; empty if there is none."""
    for unit in _UNITS:
        try:
            return read_file(root / unit)
        except (OSError, UnreadableFile):
            continue
    return b""
