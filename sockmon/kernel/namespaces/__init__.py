"""Network namespaces of this host: which ones there are, and what people call them.

Imports the rest of `kernel` and what that may import. Its tests are in `tests/kernel/namespaces/`, named after the
modules.
"""
