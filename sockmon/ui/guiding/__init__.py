"""Guides on the screen: the list, a walk with its steps and evidence, and the progress that is kept in files.

May import `guides`, `tuning.planning`, `ui.detail`, `ui.tuning` and `ui.widgets`. Tests are in `tests/ui/`:
test_guides and test_walk_screen, and tests/guides/test_on_the_screen.
"""
