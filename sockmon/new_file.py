"""A new file of the user, such as the summary of a walk: never one that exists, and never through a link."""

from __future__ import annotations

import os

from sockmon.errors import SockmonError


def create(path: str) -> int:
    """Create `path` for writing and return its descriptor; raise SockmonError if it exists or cannot be."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise SockmonError(f"{path} already exists", "choose another name, or remove the file first") from error
    except OSError as error:
        raise SockmonError(f"{path} cannot be written: {error.strerror}") from error
