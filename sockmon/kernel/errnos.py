"""What an errno of open(2), readlink(2) or stat(2) means for a reader of /proc."""

from __future__ import annotations

import errno

FORBIDDEN = (errno.EACCES, errno.EPERM)
NO_FREE_FILE = (errno.EMFILE, errno.ENFILE)
"""This process, or the host, has no free file descriptor: the read is to be tried again later."""
NO_SUCH_PROCESS = (errno.ENOENT, errno.ESRCH)
"""The process of a /proc/PID has ended, or /proc hides it."""
