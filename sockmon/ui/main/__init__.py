"""The main screen: header, banner, the board of limits, and the four panes.

It may import `assess`, `ceilings`, `explain.symptoms`, `model`, and of `ui` what is below: `detail.owners`,
`widgets`, `filtering`, `appearance`, `keys` and `context`. Tests: `tests/ui/test_main_screen.py`,
`tests/ui/test_header.py`.
"""
