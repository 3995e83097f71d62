"""The process that keeps root for the screen (`server.py`), the screen's connection to it (`client.py`), what it
reads.

May import all of `tuning`, and `kernel`. Tests: `tests/tuning/test_helper.py`, `test_drift.py`,
`test_prespawn.py`."""
