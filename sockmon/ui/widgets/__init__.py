"""The parts of screens and panes: tables, lists, bars, sparklines, plots, frames, the filter line.

They may import `assess` and `ceilings` for their types, `model`, `format`, and of `ui` `filtering`,
`appearance` and `keys`. Tests: `tests/ui/test_table.py`, `test_column_layout.py`, `test_bar.py`,
`test_trend.py` and others there.
"""
