"""Processes and what they hold: /proc/PID/*, descriptors, limits, memory maps, owners of sockets.

Imports the rest of `kernel` and what that may import. Its tests are in `tests/kernel/`, named after the modules.
"""
