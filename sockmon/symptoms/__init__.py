"""How ceilings show: error codes, counters, socket states and lines of the log, and what tells their causes"
" apart."""

from sockmon.symptoms.advice import ADVICE
from sockmon.symptoms.counters import COUNTERS
from sockmon.symptoms.errors import ERRORS
from sockmon.symptoms.states import STATES
from sockmon.symptoms.symptom import Clue, Symptom

SYMPTOMS: tuple[Symptom, ...] = (*ERRORS, *COUNTERS, *STATES, *ADVICE)

__all__ = ["SYMPTOMS", "Clue", "Symptom"]
