"""The metrics in a file for the textfile collector of node_exporter, which never sees half of them."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sockmon.errors import SockmonError


def write(path: str, page: bytes) -> None:
    """Replace the file `path` in one step; raise SockmonError with the reason. The collector reads names that end
    in `.prom`."""
    target = Path(path)
    if target.suffix != ".prom":
        raise SockmonError(f"{path} does not end in .prom", "node_exporter reads only such files")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(page)
            # The exporter runs as another user.
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise SockmonError(f"{path} cannot be written: {error.strerror}") from error
