"""The screens of a change: panel, editor, preview, history, experiment, and the hold bar of a pending change.

They may import `tuning.planning`, `tuning.confirmation`, `model`, `ui.detail` and `ui.widgets`; nothing that
writes, and the helper only through `session.py`. Tests are in `tests/ui/`: test_tuning_panel, test_preview,
test_held_change, test_history, test_experiment_screen, test_confirmation, test_helper_timeouts.
"""
