"""What a fleet asks a Prometheus: few series of each host, and more only of the hosts that need it.

`{0}` in an expression is what `--match` selects. A query costs the server about as much as it reads series, and
labels alone decide which it reads: a comparison or a join reads what it leaves out, too. So the first queries read
one to five series of a host, and those that read more name the hosts (docs/decisions/0031)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from sockmon.fleet.prometheus import quoted

NUMBERS = ("ratio", "used", "limit", "left_seconds")
GONE_WINDOW = "1h"
HOSTS_AT_ONCE = 500
"""How many hosts one query names: it reads up to fifty thousand series, and is 10 to 20 kB long."""
_OF = f"({'|'.join(NUMBERS)})"
_ALARMS = "warning|critical|hit"
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What RE2 needs an escape for. Nothing else has one: Prometheus looks up the names one by one only then."""


class EveryHost(NamedTuple):
    """The expressions that are asked for all hosts."""

    verdicts: str = "sockmon_verdict{{{0}}} == 1"
    ages: str = "time() - sockmon_sample_timestamp_seconds{{{0}}}"
    known: str = f"present_over_time(sockmon_build_info{{{{{{0}}}}}}[{GONE_WINDOW}])"
    fullest: str = f'{{{{__name__=~"sockmon_fullest_{_OF}",{{0}}}}}}'
    unknown: str = "max by (instance) (sockmon_unknown_ceilings{{{0}}}) > 0"


class OlderHosts(NamedTuple):
    """The same for hosts with an exporter that has no series of the fullest limit."""

    fullest: str = (
        f'{{{{__name__=~"sockmon_ceiling_{_OF}",{{0}}}}}}'
        " and on (instance, ceiling) topk by (instance) (1, sockmon_ceiling_ratio{{{0}}})"
    )
    unknown: str = 'count by (instance) (sockmon_ceiling_severity{{sockmon_ceiling_severity="unknown",{0}}} == 1)'


class SickHosts(NamedTuple):
    """The expressions for hosts whose verdict is not ok."""

    severities: str = f'sockmon_ceiling_severity{{{{sockmon_ceiling_severity=~"{_ALARMS}",{{0}}}}}} == 1'
    subjects: str = (
        f'{{{{__name__=~"sockmon_subject_{_OF}",{{0}}}}}}'
        " and on (instance, ceiling, subject, netns)"
        f' (sockmon_subject_severity{{{{sockmon_subject_severity=~"{_ALARMS}",{{0}}}}}} == 1)'
    )
    """The numbers of the subjects that have an alarm."""


TREND = "max by (instance) (sockmon_fullest_ratio{{{0}}})"
OLDER_TREND = "max by (instance) (sockmon_ceiling_ratio{{{0}}})"


def selections(matchers: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what selects these hosts, some hundred at a time; `names` are values of `instance`, any text."""
    rest = iter(sorted(names))
    while some := list(islice(rest, HOSTS_AT_ONCE)):
        yield ",".join(filter(None, (matchers, _one_of(some))))


def _one_of(names: Sequence[str]) -> str:
    pattern = "|".join(_META.sub(r"\\\g<0>", name) for name in names)
    return f"instance=~{quoted(pattern)}"
