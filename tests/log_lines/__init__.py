"""Lines as programs log them: the error and the cause that each names, and where its text was found."""

from tests.log_lines.databases import DATABASES
from tests.log_lines.line import Line
from tests.log_lines.runtimes import RUNTIMES
from tests.log_lines.servers import SERVERS
from tests.log_lines.system import SYSTEM

LINES = tuple(
    Line(*row, source)
    for sources in (SERVERS, RUNTIMES, DATABASES, SYSTEM)
    for source, rows in sources.items()
    for row in rows
)
