"""`python -m sockmon` is the same as `sockmon`."""

from sockmon.cli import main

main()
