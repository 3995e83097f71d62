"""The agent: reads the kernel as often as its budget of processor time allows, and writes Snapshots to a stream.

It writes nothing to the system. `sampler.py` reads the host, `netns_sampler.py` one network namespace of it,
and the other samplers the parts of both. May import `kernel`, `model` and `sources.wire`; never Textual. Tests
are in `tests/agent`.
"""
