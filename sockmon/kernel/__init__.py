"""Linux as it is: one file for each kernel interface, which reads it, parses it, or raises ReadError with a
reason.

Imports only `model`, `errors`, `faults`, `format`, `port_lists` and `text`, and nothing that knows a screen or a
limit. Its tests are in `tests/kernel/`, against the real kernel in private namespaces if possible.
"""
