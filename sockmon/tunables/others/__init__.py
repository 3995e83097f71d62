"""The sysctls that sockmon explains in a line and does not tune, a file a folder of /proc/sys.

Facts: Documentation/networking/*-sysctl.rst and Documentation/admin-guide/sysctl/ of the kernel; the scope of each
key of `net` is tested on this kernel (tests/tunables/test_others.py)."""

from sockmon.tunables.others.core import CORE_KEYS
from sockmon.tunables.others.host import HOST_KEYS
from sockmon.tunables.others.ip import IP_KEYS
from sockmon.tunables.others.ipv6 import IPV6_KEYS
from sockmon.tunables.others.netfilter import NETFILTER_KEYS
from sockmon.tunables.others.tcp import TCP_KEYS

OTHERS = (*TCP_KEYS, *IP_KEYS, *IPV6_KEYS, *CORE_KEYS, *NETFILTER_KEYS, *HOST_KEYS)

__all__ = ["OTHERS"]
