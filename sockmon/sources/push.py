"""`--push`: the agent for a host where nothing is installed, sent over the connection that runs it.

    python3 -I -c 'read a line of code from stdin' ◀── that code │ the archive │ requests ──  ssh  ── sockmon
                         └─ stdout ── the stream ──▶

The line of code checks its Python, reads the archive into memory without a name (memfd_create(2)), and imports
the agent from there. So no file is written on the other host, and nothing is left when the process ends, however it
ends. The archive has whole rooms, none of which changes the system, and `pure_msgspec` in place of msgspec; psutil
and pyroute2 are used if that host has them.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from sockmon.sources.ssh import Address, remote

OLDEST = (3, 10)
NOT_FOUND_HINT = "install Python 3.10 or newer on that host, in the PATH of ssh commands"
SAMPLES = "samples"
"""The word that asks for two complete samples, instead of an interval."""
OWN_DESCRIPTORS = "/proc/self/fd/"
"""Where an agent that was sent finds its code."""
_ROOMS = ("agent", "kernel", "model", "sources", "tunables")
_PURE = "sockmon/sources/pure_msgspec/"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# One byte at a time up to the newline, or the end: what follows is not for this reader. It has no single quote,
# `!` or newline, which a shell of the other side could take for its own.
FIRST = r'import os;exec(b"".join(iter(lambda:os.read(0,1)or b"\n",b"\n")))'

_LOADER = """
import os, sys

def start():
    if sys.version_info < OLDEST:
        import shutil
        for minor in range(40, OLDEST[1] - 1, -1):
            newer = shutil.which("python3.%d" % minor)
            if newer:
                os.execv(newer, [newer, "-I", "-c", FIRST_OF_NEWER, SOURCE])
        sys.exit(
            "sockmon: python3 on that host is Python %d.%d.%d (%s), and the agent needs Python %d.%d or newer\\n"
            "  install a newer one there as python3.%d, or install sockmon"
            % (sys.version_info[:3] + (sys.executable,) + OLDEST + (OLDEST[1],))
        )
    import zlib
    packed = b""
    while len(packed) < SIZE:
        piece = os.read(0, SIZE - len(packed))
        if not piece:
            sys.exit("sockmon: the connection ended before the whole agent had arrived")
        packed += piece
    try:
        # Never executable (MFD_NOEXEC_SEAL), which some hosts ask for and older kernels do not know.
        memory = os.memfd_create("sockmon", os.MFD_CLOEXEC | 8)
    except OSError:
        memory = os.memfd_create("sockmon")
    with open(memory, "wb", closefd=False) as file:
        file.write(zlib.decompress(packed))
    sys.path.insert(0, PLACE + str(memory))
    from sockmon.agent.pushed import main
    sys.exit(main(WORDS))

start()
"""


def command(address: Address) -> list[str]:
    """Return the argv that runs on `address` what comes on its standard input: see `parcel`."""
    return remote(address, ["python3", "-I", "-c", shlex.quote(FIRST)])


def parcel(words: Sequence[str]) -> bytes:
    """Return what goes to the standard input of `command` first: the code that starts the agent, and the agent.

    `words` are those of `sockmon.agent.pushed`: an interval in seconds, or SAMPLES."""
    packed = archive()
    values = {
        "OLDEST": OLDEST,
        "SIZE": len(packed),
        "WORDS": list(words),
        "PLACE": OWN_DESCRIPTORS,
        "FIRST_OF_NEWER": "import sys;SOURCE=sys.argv[1];exec(SOURCE)",
    }
    names = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    source = names + _LOADER
    # A newer Python is given the same code again, with itself in a variable.
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
