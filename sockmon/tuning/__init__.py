"""A change from its plan to its end: planned, applied, held, then kept or rolled back.

`planning/` and `boot/` are pure or read only; `transaction/` is the only code that writes to the system; `helper/`
is the process that keeps root for the screen. Everything may be imported from here but `ui`, `cli` and `labs`.
Tests are in `tests/tuning/`."""
