"""Error codes that system calls return at a limit (errno(3)), by their names, with all causes of each.

What the calls return was checked against the manual pages and the kernel's source (the files are named in each
module), and on a running kernel. Pure."""

from sockmon.explain.symptoms.errors.addresses import ADDRESSES
from sockmon.explain.symptoms.errors.buffers import BUFFERS
from sockmon.explain.symptoms.errors.calls import CALLS
from sockmon.explain.symptoms.errors.descriptors import DESCRIPTORS
from sockmon.explain.symptoms.errors.peers import PEERS
from sockmon.explain.symptoms.errors.refusals import REFUSALS
from sockmon.explain.symptoms.errors.tasks import TASKS

ERRORS = (*DESCRIPTORS, *ADDRESSES, *TASKS, *BUFFERS, *REFUSALS, *PEERS, *CALLS)
