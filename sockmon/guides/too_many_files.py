"""EMFILE, ENFILE, and ENOSPC of inotify: descriptors of a process, files of the host, watches of a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sockmon.document import sentence
from sockmon.guides.descriptor_growth import leak_advice, leaks, still_grows
from sockmon.guides.ends import BY_ID, DID_NOT_HELP, DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT, VERIFIED, verified_and
from sockmon.guides.examples import CLOSE_AFTER_PEER, OPEN_FILES, WATCH_FILES
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    advised_settings,
    advises,
    another_alarm_or_unread,
    application_advice,
    contradicted,
    first_advised,
    left_limit,
    most_urgent,
    not_read,
    numbers_of,
    only_buys_time,
    supported,
    undecided,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.guides.started_by import how_to_persist, origin_of, process_of
from sockmon.misconceptions import (
    DESCRIPTORS_64K,
    DESCRIPTORS_OF_CONNECTION,
    FANOTIFY_EMFILE,
    FILE_MAX_ROOT,
    INOTIFY_EMFILE,
    LIMITS_CONF,
)
from sockmon.model.snapshot import UNLIMITED
from sockmon.tunables.limit_origin.text import set_by
from sockmon.tuning.planning.step import NR_OPEN

PROCESS, HOST = ("process-fds",), ("system-fds",)
USER = ("inotify-instances", "inotify-watches", "fanotify-groups", "fanotify-marks", "epoll-watches")
OWN = (*PROCESS, *HOST, *USER)
RATE_SECONDS = 4.0
"""Time of sampling after which it is known which processes open more descriptors. Whether one soon fills its limit
takes MOVEMENT_SECONDS."""
SYSTEMD_SOFT, SYSTEMD_HARD = 1024, 524_288
"""DefaultLimitNOFILE= of systemd since version 240 (systemd-system.conf(5))."""
KERNEL_HARD = 4096
"""INR_OPEN_MAX, the hard limit that the kernel gives to its first process."""


def _used_up(facts: Facts) -> Finding:
    """Return whether a process is at its limit, or grows so fast that it soon is, which takes some samples."""
    found = most_urgent(*PROCESS)(facts)
    gauges = (gauge for (name, _), gauge in facts.now.gauges.items() if name in PROCESS)
    grows = any((gauge.rate or 0.0) >= 1.0 for gauge in gauges)
    wait = (MOVEMENT_SECONDS if grows else RATE_SECONDS) - facts.sampled_seconds
    if (
        found.verdict == "contradicts"
        and wait > 0
        and facts.place.source != "recording"
        and not facts.alarms(*OWN)
    ):
        return undecided("one sample does not show what grows", wait=wait)
    return found


def _which(facts: Facts) -> Finding:
    """Return whether the soft limit is the one that binds: the program may raise it up to the hard one itself."""
    process, row = process_of(facts), facts.reading
    if process is None or row is None or process.soft is None or process.hard is None:
        return undecided("the limits of the process are not in this sample")
    lines = [f"soft limit {_number(process.soft)}, hard limit {_number(process.hard)}", *_origin(facts)]
    if advises(NR_OPEN)(facts).verdict == "supports":
        return contradicted(f"{NR_OPEN} caps it, below or at the limits of the process", lines)
    if process.hard == UNLIMITED or UNLIMITED < process.soft < process.hard:
        return supported(
            "the soft limit binds: the program may raise it itself, without privilege", row, numbers=lines
        )
    return contradicted("the hard limit binds: it takes CAP_SYS_RESOURCE to raise it", lines)


def _number(limit: int) -> str:
    return "unlimited" if limit == UNLIMITED else f"{limit:,}"


def _origin(facts: Facts) -> list[str]:
    """Return what set these limits, if the sample or the numbers show it."""
    process = process_of(facts)
    if process and (origin := origin_of(facts, process, "nofile")):
        return [f"set by {set_by(origin)}"]
    limits = (process.soft, process.hard) if process else ()
    if limits == (SYSTEMD_SOFT, SYSTEMD_HARD):
        return ["these are the defaults of systemd (DefaultLimitNOFILE=): they were not set for this program"]
    if limits == (SYSTEMD_SOFT, KERNEL_HARD):
        return ["these are the defaults of the kernel: they were not set for this program"]
    return []


def _advice(facts: Facts) -> Sequence[str]:
    """Return where the limit is set so that it lasts, and what to change in the application."""
    return [*_lasting(facts), *application_advice(facts)]


def _lasting(facts: Facts) -> Sequence[str]:
    """Return where the limit of the process is set so that its next start has it too."""
    process, wanted = process_of(facts), advised_settings("nofile")(facts)
    if process is None or process.soft is None or process.hard is None:
        return []
    value = wanted[0].value if wanted else f"{_plain(process.soft)}:{_plain(process.hard)}"
    return how_to_persist(facts, process, "nofile", value)


def _plain(limit: int) -> str:
    """Return a limit for a unit or an option; `infinity` makes some programs hang when they start."""
    return "1048576" if limit == UNLIMITED else str(limit)


def _nr_open_is_higher(facts: Facts) -> Finding:
    """Return whether fs.nr_open is above the limit that it was the cause of."""
    nr_open = facts.snapshot.files.nr_open if facts.snapshot.files else None
    before = facts.before.limit if facts.before else None
    if nr_open is None or before is None:
        return undecided(f"{NR_OPEN}, or the limit before the change, is not known")
    text = f"{NR_OPEN} is {nr_open:,}, the limit was {before:,}"
    return Finding("supports", text) if nr_open > before else contradicted(text)


def _still(facts: Facts) -> Finding:
    """Return whether the process still needs a higher limit of its own."""
    row = facts.reading
    if row and advised_settings("nofile")(facts):
        return supported(f"its own limit has to follow: {numbers_of(row)}", row)
    return contradicted("the process has free descriptors: its own limit was above fs.nr_open")


def _and_what_grows(end: End) -> End:
    """Return the end with what the descriptors of the process do after the change."""
    return replace(end, text=lambda facts: [*end.text(facts), *still_grows(facts)])


def _not_here(facts: Facts) -> list[str]:
    fullest = [row for row in facts.readings(*OWN) if row.used is not None][:1]
    most = f" the fullest is {numbers_of(fullest[0])}." if fullest else " none of these limits is in use."
    return [
        f"The symptom is not on {facts.snapshot.host.name} now:{most}",
        *map(sentence, not_read(facts)),
        "EMFILE (24) is a limit of the process, or of its user's inotify instances; ENFILE (23) is fs.file-max;"
        " ENOSPC (28) of inotify_add_watch() is fs.inotify.max_user_watches, that of write() is a full disk.",
        "Run it again while the symptom is there, as root: a process that has ended has no descriptors.",
    ]


GUIDE = Guide(
    name="too-many-files",
    title="Too many open files",
    symptom="accept(), open() or inotify_init() fails with EMFILE (24) or ENFILE (23), too many open files; or"
    " inotify_add_watch() with ENOSPC (28)",
    brief="EMFILE (24), ENFILE (23), ENOSPC (28)",
    ceilings=OWN,
    lab="process-fds",
    steps=(
        Observe(
            id="process",
            title="Descriptors of a process",
            hypothesis="a process has used up its descriptors (EMFILE)",
            evidence=_used_up,
            supports="growth",
            contradicts="host",
            undecided="host",
            misconceptions=(DESCRIPTORS_64K, DESCRIPTORS_OF_CONNECTION),
        ),
        Observe(
            id="host",
            title="Open files of the host",
            hypothesis="all processes together have used up fs.file-max (ENFILE)",
            evidence=most_urgent(*HOST),
            supports="host-remedy",
            contradicts="user",
            undecided="user",
            misconceptions=(FILE_MAX_ROOT,),
        ),
        Observe(
            id="user",
            title="inotify, fanotify and epoll",
            hypothesis="a user has used up instances (EMFILE) or watches (ENOSPC)",
            evidence=most_urgent(*USER),
            supports="raise-user",
            contradicts="others",
            undecided="others",
            misconceptions=(INOTIFY_EMFILE, FANOTIFY_EMFILE),
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm_or_unread(*OWN),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Observe(
            id="growth",
            title="What grows",
            hypothesis="it opens descriptors of one kind and does not close them",
            evidence=leaks,
            supports="leak",
            contradicts="which",
            undecided="which",
        ),
        Observe(
            id="which",
            title="Soft or hard limit",
            hypothesis="the soft limit is the one that binds",
            evidence=_which,
            supports="remedy",
            contradicts="remedy",
            undecided="remedy",
            misconceptions=(LIMITS_CONF,),
        ),
        Decide(
            id="remedy",
            title="The remedy",
            question="Is the limit too low, or does the process not close its files?",
            branches=(
                Branch(DO_NOT_TUNE, "fix the leak", only_buys_time),
                Branch("nr-open", f"raise {NR_OPEN} first", advises(NR_OPEN)),
                Branch("raise", "raise the limit of the process", advises("nofile")),
            ),
            otherwise=DO_NOT_TUNE,
        ),
        Decide(
            id="host-remedy",
            title="The remedy of the host",
            question="Is fs.file-max too low, or does a process not close its files?",
            branches=(
                Branch(DO_NOT_TUNE, "fix the leak", only_buys_time),
                Branch("raise-host", "raise fs.file-max", advises("fs.file-max")),
            ),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="nr-open",
            title=f"Raise {NR_OPEN}",
            settings=advised_settings(NR_OPEN),
            done="higher",
            misconceptions=(DESCRIPTORS_64K,),
        ),
        Verify(
            id="higher",
            title=f"{NR_OPEN} is higher",
            claim="the kernel allows a higher limit",
            evidence=_nr_open_is_higher,
            hold=2,
            within=20,
            met="still",
        ),
        Observe(
            id="still",
            title="The limit of the process",
            hypothesis="the limit of the process has to follow",
            evidence=_still,
            supports="raise",
            contradicts=VERIFIED,
        ),
        Act(
            id="raise",
            title="Raise the limit of the process",
            settings=advised_settings("nofile"),
            advice=_advice,
            examples=OPEN_FILES,
            done="free",
        ),
        Act(
            id="raise-host",
            title="Raise fs.file-max",
            settings=advised_settings("fs.file-max"),
            advice=application_advice,
            examples=CLOSE_AFTER_PEER,
            done="free",
        ),
        Act(
            id="raise-user",
            title="Raise the limit of the user",
            settings=first_advised(),
            advice=application_advice,
            examples=WATCH_FILES,
            done="free",
        ),
        Verify(
            id="free",
            title="Room below the limit",
            claim="the limit is not reached any more",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        _and_what_grows(verified_and(_lasting)),
        _and_what_grows(BY_ID[DID_NOT_HELP]),
        End("leak", "Do not tune: close what grows", "do-not-tune", leak_advice),
        replace(BY_ID[DO_NOT_TUNE], title="Do not tune: close the files", examples=CLOSE_AFTER_PEER),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
