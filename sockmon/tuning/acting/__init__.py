"""Acting on one thing, for the helper: close sockets, delete flows, signal a process; nothing can be undone.

May import `tuning/transaction` (the history), `kernel`, `model`. Tests: `tests/tuning/test_acting_*.py`."""
