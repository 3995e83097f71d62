"""The agent: reads the kernel at a pace that the machine can afford, and emits Snapshots.

It runs headless, imports no Textual and writes nothing to the system.
"""
