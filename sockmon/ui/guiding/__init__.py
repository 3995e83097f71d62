"""Guides on the screen: the list, a walk with its steps and evidence, and the progress that is kept in files.

May import `guides`, `tuning.planning`, `ui.detail`, `ui.tuning` and `ui.widgets`. Tests are in `tests/ui/`:
test_guides, test_walk_screen, test_guide_on_lab.
"""
