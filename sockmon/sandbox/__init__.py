"""Private namespaces, and the processes and loads that labs and experiments run in them.

`session.py` starts a lab, `supervisor.py` is the process that holds and removes it, `builder.py` is what a lab is
built with, and `loads/` is what it is built of. May import `kernel`, `model` and `own_process`, but no lab and no
experiment. Tests: `tests/sandbox/`, and every test in `tests/labs/` and `tests/experiments/`."""
