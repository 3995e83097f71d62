"""`python -m sockmon` is the same as `sockmon`."""

from sockmon.isolation import isolate

isolate()
# Only now: before, an import could load a module that the environment chose.
from sockmon.cli.main import main  # noqa: E402

main()
