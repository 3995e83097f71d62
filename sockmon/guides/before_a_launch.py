"""Before a launch: does this host hold N more connections of one shape, and what is too low by how much?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sockmon.document import sentence
from sockmon.guides.ends import (
    CANNOT_BE_KNOWN,
    DID_NOT_HELP,
    DO_NOT_TUNE,
    NOT_HERE,
    VERIFIED,
    keep_it,
)
from sockmon.guides.examples import BACKLOG, OPEN_FILES
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.findings import another_alarm, contradicted, numbers_of, supported, undecided, where_to_run
from sockmon.guides.guide import Act, Branch, Decide, End, Evidence, Finding, Guide, Observe, Verify
from sockmon.guides.launch.limits import requirements
from sockmon.guides.launch.memory import promise, room_for_data
from sockmon.guides.launch.program import shape_of
from sockmon.guides.launch.requirement import Requirement, all_settings, line_of, lines_of, number_of, title_of
from sockmon.guides.launch.shape import BY_ID, SHAPES, Shape
from sockmon.guides.launch.tasks import MAPS_NOTE
from sockmon.misconceptions import (
    DESCRIPTORS_64K,
    DESCRIPTORS_OF_CONNECTION,
    PORT_RANGE,
    SERVER_PORTS,
    TCP_MEM_IDLE,
    THREADS_32K,
)

NAME = "before-a-launch"
_MEMORY = ("memory", "cgroup-memory")


def _rows(facts: Facts, shape: Shape | None = None) -> list[Requirement]:
    """Return what the connections need in the shape that was chosen, or in `shape`."""
    number = number_of(facts)
    chosen = shape or next((BY_ID[step] for step in reversed(facts.passed) if step in BY_ID), None)
    return requirements(facts, chosen, number) if chosen and number else []


def _is_too_low(facts: Facts, shape: Shape) -> Finding:
    """Return whether a limit is too low for the connections in this shape."""
    number = number_of(facts)
    if number is None:
        command = f"{facts.place.command} guide {NAME} 10000{facts.place.options}"
        return undecided("the number of connections was not given, such as 10000", [command])
    rows = _rows(facts, shape)
    short = [row for row in rows if row.short]
    numbers = [*lines_of(rows), promise(facts, shape)]
    if shape.threads:
        numbers.append(MAPS_NOTE)
    if room := room_for_data(facts, shape, number):
        numbers.append(room)
    if short:
        names = ", ".join(dict.fromkeys(map(title_of, short)))
        return supported(f"too low for {number:,} more connections: {names}", numbers=numbers)
    if any(row.unread for row in rows) and not facts.place.privileged:
        return undecided("some limits cannot be read by this user", where_to_run(facts))
    return contradicted(f"every limit that was read is high enough for {number:,} more connections", numbers)


def _is(shape: Shape) -> Evidence:
    """Return the evidence for "what runs here now has this shape"."""

    def evidence(facts: Facts) -> Finding:
        if shape_of(facts) == shape:
            return supported(f"what runs here now is {shape.label}")
        return contradicted(f"what runs here now is not {shape.label}")

    return evidence


def _too_small(facts: Facts) -> Finding:
    """Return whether no setting helps, because the memory is too small."""
    short = [row for row in _rows(facts) if row.short and row.ceiling in _MEMORY]
    if short:
        return supported("the memory is too small", numbers=[line_of(row) for row in short])
    return contradicted("there is enough memory")


def _can_be_raised(facts: Facts) -> Finding:
    settings = _settings(facts)
    if settings:
        return supported(
            "one change raises every setting that is too low",
            numbers=[f"{each.key} = {each.value}" for each in settings],
        )
    return contradicted("sockmon can raise none of them")


def _settings(facts: Facts) -> Sequence[Wanted]:
    return all_settings(_rows(facts))


def _words(facts: Facts) -> list[str]:
    """Return what has to be done besides the settings, and what is not known."""
    rows = _rows(facts)
    short = [text for row in rows if row.short for text in row.words]
    return [*dict.fromkeys(short), *(line_of(row) for row in rows if row.unknown and not row.unread)]


def _is_raised(facts: Facts) -> Finding:
    """Return whether no limit that sockmon can raise is too low any more."""
    rows = [row for row in _rows(facts) if row.short and row.settings]
    if rows:
        return contradicted("still too low", list(map(line_of, rows)))
    if unknown := [row for row in _rows(facts) if row.unknown and row.ceiling == "process-fds"]:
        return undecided(line_of(unknown[0]), where_to_run(facts))
    return supported("every limit that was raised is high enough now")


def _left(facts: Facts) -> Iterator[str]:
    """Yield what is still too low, and what could not be compared."""
    rows = _rows(facts)
    yield from (sentence(line_of(row)) for row in rows if row.short)
    yield from map(sentence, _words(facts))
    yield from (
        sentence(f"an alarm now, to cure before the launch: {numbers_of(row)}") for row in facts.alarms()[:3]
    )
    if unread := ", ".join(dict.fromkeys(title_of(row) for row in rows if row.unread)):
        yield f"Not read here: {unread}."


def _end(*first: str) -> Callable[[Facts], Sequence[str]]:
    return lambda facts: [*first, *_left(facts)]


def _verified(facts: Facts) -> Sequence[str]:
    return [sentence(_is_raised(facts).text), *keep_it(facts), *_left(facts)]


def _holds(facts: Facts) -> Sequence[str]:
    return [f"{facts.snapshot.host.name} holds them, as far as its limits were read.", *_left(facts)]


def _unknown(facts: Facts) -> Sequence[str]:
    return ["What decides it could not be read here.", *_left(facts)]


def _has_alarm(facts: Facts) -> Finding:
    """Return whether a limit has an alarm already, of any program. It does not become what the walk is about."""
    found = another_alarm()(facts)
    if found.verdict != "supports":
        return found
    return supported(f"{found.text}: cure it before the launch", numbers=found.numbers)


def _fits_no_alarm(_: Facts) -> str:
    """Return nothing: it is about what is planned, not about an alarm."""
    return ""


def _observe(shape: Shape) -> Observe:
    model = "epoll" if shape.model == "epoll" else "threads"
    return Observe(
        id=shape.id,
        title=f"A {shape.role} with {model}",
        hypothesis=f"a limit is too low for so many connections of {shape.label}",
        evidence=partial(_is_too_low, shape=shape),
        supports="remedy",
        contradicts=NOT_HERE,
        misconceptions=(THREADS_32K if shape.threads else PORT_RANGE if shape.ports else SERVER_PORTS,),
    )


GUIDE = Guide(
    name=NAME,
    title="Before a launch",
    symptom="will this host hold N connections? (server, proxy or client; epoll or threads)",
    brief="does this host hold N connections?",
    ceilings=(
        "process-fds",
        "system-fds",
        "epoll-watches",
        "ephemeral-ports",
        "accept-queue",
        "conntrack-table",
        "memory-maps",
        "pid-max",
        "threads-max",
        "user-processes",
        "cgroup-pids",
        "cgroup-memory",
        "tcp-memory",
    ),
    lab="busy-server",
    fits=_fits_no_alarm,
    asks_number=True,
    question="How many more connections must it hold, such as 10000?",
    number_examples=("10000",),
    lab_number="10000",
    steps=(
        Observe(
            id="now",
            title="Alarms before the launch",
            hypothesis="a limit has an alarm already",
            evidence=_has_alarm,
            supports="shape",
            contradicts="shape",
            undecided="shape",
        ),
        Decide(
            id="shape",
            title="The shape of the program",
            question="Which program holds the connections?",
            branches=tuple(Branch(shape.id, shape.label, _is(shape)) for shape in SHAPES),
            otherwise=SHAPES[0].id,
            misconceptions=(DESCRIPTORS_OF_CONNECTION,),
        ),
        *map(_observe, SHAPES),
        Decide(
            id="remedy",
            title="The remedy",
            question="Can the limits be raised?",
            misconceptions=(TCP_MEM_IDLE,),
            branches=(
                Branch(DO_NOT_TUNE, "this host is too small", _too_small),
                Branch("raise", "one plan raises the limits", _can_be_raised),
            ),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="raise",
            title="Raise the limits together",
            settings=_settings,
            advice=_words,
            examples=OPEN_FILES,
            done="raised",
            misconceptions=(DESCRIPTORS_64K,),
        ),
        Verify(
            id="raised",
            title="Limits after the change",
            claim="every limit that was raised is high enough",
            evidence=_is_raised,
            hold=3,
            within=30,
        ),
        End(CANNOT_BE_KNOWN, "It cannot be known here", "cannot-be-known", _unknown, commands=where_to_run),
        End(NOT_HERE, "This host holds them", "not-here", _holds),
        End(VERIFIED, "The limits are high enough", "verified", _verified),
        End(
            DO_NOT_TUNE,
            "No setting of the kernel is enough",
            "do-not-tune",
            _end("No setting of the kernel is enough for so many connections:"),
            BACKLOG,
        ),
        End(
            DID_NOT_HELP,
            "The limits are still too low",
            "did-not-help",
            _end("The change did not raise every limit far enough. Roll it back."),
        ),
    ),
)
