"""Sockets, counted and grouped as they are read: sock_diag dumps, or /proc/net if netlink is refused.

Imports the rest of `kernel` and what that may import. Its tests are in `tests/kernel/`, named after the modules.
"""
