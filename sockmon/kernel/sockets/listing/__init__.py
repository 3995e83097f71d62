"""The list of all sockets of a namespace: filtered in the kernel as far as it can, then by columns of a block.

It may import what `kernel/sockets` may. Tests: `tests/kernel/listing`.
"""
