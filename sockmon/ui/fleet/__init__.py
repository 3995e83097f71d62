"""The fleet screen: all hosts, the one that reaches a limit first at the top; Enter opens a host.

`screen.py` is the board of hosts, `host_tables.py` its tables, `host_page.py` the page of one; `run.py` changes
between the fleet and the live screen of a host. May import `fleet` and of `ui` everything but `main/panes`,
`tuning` and `guiding`. Its tests are `tests/ui/test_fleet.py` and `tests/ui/test_fleet_on_a_terminal.py`.
"""
