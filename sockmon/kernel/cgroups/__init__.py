"""Cgroups with a limit of tasks or memory, v1 and v2: where they are mounted, their files, their processes.

Imports the rest of `kernel` and what that may import. Its tests are in `tests/kernel/`, named after the modules.
"""
