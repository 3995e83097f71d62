"""`--push`: the agent for a host where nothing is installed, sent over the connection that runs it.

    python3 -I -c 'read a line of code from stdin' ◀── that code │ the archive │ requests ──  ssh  ── sockmon
                         └─ stdout ── the stream ──▶

The line of code (`push_loader`) checks its Python, reads the archive into memory without a name (memfd_create(2)),
and imports the agent from there. So no file is written on the other host, and nothing is left when the process
ends, however it ends. The archive has whole rooms, none of which changes the system, and `pure_msgspec` instead of
msgspec; psutil and pyroute2 are used if that host has them.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from sockmon.sources import push_loader
from sockmon.sources.ssh import Address, remote

NOT_FOUND_HINT = f"install Python 3.{push_loader.OLDEST_MINOR} or newer on that host, in the PATH of ssh commands"
SAMPLES = "samples"
"""The word that asks for the samples of one report, instead of an interval."""
OWN_DESCRIPTORS = "/proc/self/fd/"
"""Where an agent that was sent finds its code."""
_ROOMS = ("agent", "kernel", "model", "sources", "tunables")
_PURE = "sockmon/sources/pure_msgspec/"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# One byte at a time up to the newline, or the end: what follows is not for this reader. It has no single quote,
# `!` or newline, which a shell of the other side could take for its own.
FIRST = r'import os;exec(b"".join(iter(lambda:os.read(0,1)or b"\n",b"\n")))'


def command(address: Address) -> list[str]:
    """Return the argv that runs on `address` what comes on its standard input: see `parcel`."""
    return remote(address, ["python3", "-I", "-c", shlex.quote(FIRST)])


def parcel(words: Sequence[str]) -> bytes:
    """Return what goes to the standard input of `command` first: the code that starts the agent, and the agent.

    `words` are those of `sockmon.agent.pushed`: an interval in seconds, or SAMPLES."""
    packed = archive()
    call = f"load(SOURCE, {len(packed)}, {OWN_DESCRIPTORS!r}, {' '.join(words)!r})\n"
    source = Path(push_loader.__file__).read_text() + call
    return f"SOURCE={source!a};exec(SOURCE)\n".encode() + packed


@cache
def archive() -> bytes:
    """Return the agent as a zip file without compression, which is then compressed as a whole."""
    import zipfile
    import zlib

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, text in sorted(_modules()):
            out.writestr(zipfile.ZipInfo(name, _FIXED_DATE), text)
    return zlib.compress(file.getvalue(), 9)


def _modules() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parents[1]
    for path in (*package.glob("*.py"), *(each for room in _ROOMS for each in (package / room).rglob("*.py"))):
        name = f"sockmon/{path.relative_to(package)}"
        yield name.replace(_PURE, "msgspec/"), path.read_bytes()
