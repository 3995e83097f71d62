"""A dialog that asks for a typed word before anything is changed: the preview of a plan and that of an action.

Tests: `tests/ui/test_preview.py`, `tests/ui/test_acting.py`."""
