"""The agent: reads the kernel as often as its budget of processor time allows, and writes Snapshots to a stream.

It writes nothing to the system. May import `kernel`, `model` and `sources.wire`; never Textual. Tests are in
`tests/agent`.
"""
