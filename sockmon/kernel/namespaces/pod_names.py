"""What Kubernetes calls a pod, by its uid: the kubelet names the directory of its logs NAMESPACE_NAME_UID
(pkg/kubelet/kuberuntime/helpers.go), which everyone may list."""

from __future__ import annotations

from sockmon.errors import NotPresent
from sockmon.kernel.namespaces.state_files import READER, StateFiles

LOGS = "/var/log/pods"


def read_pod(uid: str, files: StateFiles) -> str:
    """Return NAMESPACE/NAME of a pod; raise ReadError, NotPresent if the kubelet does not know it."""
    # Neither a namespace nor a name may contain `_`.
    for name in files.names(LOGS):
        namespace, _, rest = name.partition("_")
        pod, _, found = rest.partition("_")
        if found == uid and namespace and pod:
            return f"{namespace}/{pod}"
    raise NotPresent(READER, f"{LOGS} does not have the pod {uid}")
