"""sockmon: which limit this Linux server hits next, who is eating it, how long is left, what to change."""

__version__ = "0.1.0"
