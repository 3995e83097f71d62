"""The screen, the only room that imports Textual: it draws samples and sends requests to the helper.

It may import `assess`, `ceilings`, `explain.symptoms`, `sources`, `tuning` and `model`; never `kernel` or
`agent`. Inside, imports go from `app` to `main`, `tuning` and `detail`, from these to `widgets`, `filtering`
and `appearance`; screens know the app as the protocol of `context.py`. Tests are in `tests/ui/`; on a real
terminal: `tests/test_*.py`.
"""

import os

# Textual waits so many milliseconds whether Esc begins a longer key, and reads it when it is imported.
os.environ.setdefault("ESCDELAY", "50")
