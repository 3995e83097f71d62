"""What Enter opens: the pages of a ceiling, a process, a port group and a listener, and what these have in common.

It may import `assess`, `model`, `ceilings`, pure parts of `tuning.planning`, and `ui.widgets`, `ui.filtering` and
`ui.appearance`; never `kernel`, `agent` or `ui.main`. Its tests are in `tests/ui/`: test_ceiling, test_process,
test_port_group, test_listener, test_detail_tables, test_opening_rows.
"""
