"""Symptoms of a limit that is reached, with possible causes: errors, counters, TCP states, log lines, common
advice.

Pure: may import `misconceptions`. Tests: tests/test_explain.py, tests/test_plain_english.py.
"""

from sockmon.explain.symptoms.common_advice import FOLKLORE
from sockmon.explain.symptoms.counters import COUNTERS
from sockmon.explain.symptoms.errors import ERRORS
from sockmon.explain.symptoms.messages import MESSAGES
from sockmon.explain.symptoms.messages_network import NETWORK_MESSAGES
from sockmon.explain.symptoms.states import STATES
from sockmon.explain.symptoms.symptom import Cause, Symptom

SYMPTOMS: tuple[Symptom, ...] = (*ERRORS, *COUNTERS, *STATES, *MESSAGES, *NETWORK_MESSAGES, *FOLKLORE)

__all__ = ["SYMPTOMS", "Cause", "Symptom"]
