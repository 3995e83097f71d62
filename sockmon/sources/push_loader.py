"""What runs first on a host to which the agent is pushed: its text is sent, with a call of `load` after it.

It must compile in every Python since 3.6, so that an old one can be named. Imports the standard library only."""

import importlib
import os
import sys

OLDEST_MINOR = 10


def load(source: str, size: int, place: str, words: str) -> None:
    """Read an archive of `size` bytes from standard input, and run the agent in it; `source` is this text and its
    call. Ends with a message if this Python is too old and no newer one is there."""
    if sys.version_info < (3, OLDEST_MINOR):
        _run_newer(source)
    import zlib

    packed = b""
    while len(packed) < size:
        piece = os.read(0, size - len(packed))
        if not piece:
            sys.exit("sockmon: the connection ended before the whole agent had arrived")
        packed += piece
    memory = _memory()
    with open(memory, "wb", closefd=False) as file:
        file.write(zlib.decompress(packed))
    sys.path.insert(0, place + str(memory))
    # Not an import statement: only on the other host is it there for this module.
    sys.exit(importlib.import_module("sockmon.agent.pushed").main(words.split()))


def _memory() -> int:
    """Return a file in memory; end with a message if this host allows none."""
    try:
        # Never executable (MFD_NOEXEC_SEAL): some hosts allow nothing else, and older kernels do not know it.
        return os.memfd_create("sockmon", os.MFD_CLOEXEC | 8)
    except OSError:
        try:
            return os.memfd_create("sockmon")
        except OSError as error:
            sys.exit(
                f"sockmon: that host allows no file in memory (memfd_create: {error.strerror})\n"
                "  install sockmon there, instead of --push"
            )


def _run_newer(source: str) -> None:
    """Run `source` in a python3.10 or newer, which reads on where this one has stopped."""
    import shutil

    for minor in range(40, OLDEST_MINOR - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, "-I", "-c", "import sys;SOURCE=sys.argv[1];exec(SOURCE)", source])
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"sockmon: python3 on that host is Python {found} ({sys.executable}), and the agent needs Python"
        f" 3.{OLDEST_MINOR} or newer\n  install python3.{OLDEST_MINOR} or newer there, or sockmon"
    )
