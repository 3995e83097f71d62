"""Acting on one thing: `X` on a process, a socket or a flow opens a dialog that shows what would be done, and asks
for a typed word.

Tests: `tests/ui/test_acting.py`."""
