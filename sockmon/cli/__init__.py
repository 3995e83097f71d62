"""The command line: verbs, flags and exit codes; the only room that writes to stderr.

May import everything; a verb imports what it needs inside its function. Tests are in `tests/test_cli.py`,
`tests/test_check.py`, `tests/test_record.py` and `tests/test_misuse.py`.
"""
