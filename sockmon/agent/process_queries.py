"""All queries about processes, and which answers them."""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime

from sockmon.agent.process_pages import answer_descriptors, answer_memory, answer_process, ended
from sockmon.agent.process_states import answer_states
from sockmon.agent.sampler import Sampler
from sockmon.kernel.netlink import Incremental
from sockmon.model.detail import ProcessDetail, ProcessQuery
from sockmon.model.process_facts import DescriptorsDetail, DescriptorsQuery, MemoryDetail, MemoryQuery
from sockmon.model.process_states import ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Missing

AboutProcesses = ProcessQuery | DescriptorsQuery | MemoryQuery | ProcessStatesQuery
ProcessAnswer = ProcessDetail | DescriptorsDetail | MemoryDetail | ProcessStatesDetail


def answer_about_processes(sampler: Sampler, query: AboutProcesses) -> Incremental[ProcessAnswer]:
    """Return the answer; what could not be read is in its `missing`."""
    if isinstance(query, ProcessQuery):
        return (yield from answer_process(sampler, query))
    if isinstance(query, DescriptorsQuery):
        return (yield from answer_descriptors(sampler, query))
    if isinstance(query, MemoryQuery):
        return (yield from answer_memory(sampler, query))
    return (yield from answer_states(sampler.process_states, query, [item.handle for item in sampler.netns]))


def nothing_about_processes(query: AboutProcesses, missing: tuple[Missing, ...]) -> ProcessAnswer:
    """Return the answer if nothing could be read."""
    at = clock_gettime(CLOCK_BOOTTIME)
    if isinstance(query, ProcessQuery):
        return ended(query, missing)
    if isinstance(query, DescriptorsQuery):
        return DescriptorsDetail(at, query, (), 0, None, {}, "", missing)
    if isinstance(query, MemoryQuery):
        return MemoryDetail(at, query, None, None, missing)
    return ProcessStatesDetail(at, query, (), {}, {}, {}, 0, missing)
