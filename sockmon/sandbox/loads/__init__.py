"""What a lab is built of: real sockets, files and threads. A function that starts processes takes a WorkerGroup; a
generator is a Worker.

May import the rest of `sandbox`. Tests: `tests/test_load.py`, which builds most of it with `tests/load.py`."""
