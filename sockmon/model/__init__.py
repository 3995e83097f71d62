"""Frozen types with their units, which the other rooms exchange. No I/O.

May import nothing of sockmon. Tests are where a type is filled: `tests/kernel`, `tests/assess`, `tests/tuning`.
"""
