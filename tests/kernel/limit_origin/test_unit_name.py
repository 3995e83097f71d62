"""Which unit or container the path of a cgroup names."""

import pytest

from sockmon.tunables.limit_origin.unit_name import Container, container_of_cgroup, manager_uid, unit_of_cgroup

ID = "0f3e" * 16


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-php.slice/php@7.service/pool/www", "php@7.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "--user web.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "--user init.scope"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/system.slice/docker-0f3e.scope", "docker-0f3e.scope"),
        ("/kubepods/burstable/pod1/0f3e", "kubepods"),
        (f"/docker/{'0f3e' * 16}", "0f3e" * 16),
        (f"/docker/{'0f3e' * 16}/system.slice/nginx.service", "0f3e" * 16),
        ("/lxc.payload.web/system.slice/nginx.service", "lxc.payload.web"),
        ("/machine.slice/systemd-nspawn@web.service/payload/system.slice/a.service", "systemd-nspawn@web.service"),
        (
            "/user.slice/user@1.service/user.slice/libpod-0f3e.scope/container",
            "--user libpod-0f3e.scope",
        ),
        ("/", ""),
        ("/system.slice/a\x1b[2J;reboot.service", ""),
    ],
)
def test_the_unit_of_a_cgroup(path: str, unit: str) -> None:
    assert unit_of_cgroup(path) == unit


@pytest.mark.parametrize(
    ("path", "container"),
    [
        (f"/system.slice/docker-{ID}.scope", ("docker", ID)),
        (f"/docker/{ID}/system.slice/nginx.service", ("docker", ID)),
        (f"/machine.slice/libpod-{ID}.scope/container", ("podman", ID)),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", ("kubernetes", ID)),
        (f"/kubepods/burstable/pod1/{ID}", ("kubernetes", ID)),
        (f"/system.slice/crio-{ID}.scope", ("kubernetes", ID)),
        ("/lxc.payload.web/system.slice/nginx.service", ("lxc", "web")),
        ("/lxc/web", ("lxc", "web")),
        ("/machine.slice/systemd-nspawn@web.service/payload", ("systemd-nspawn", "web")),
        ("/machine.slice/machine-web.scope", ("systemd-nspawn", "web")),
        (f"/{ID}", ("container", ID)),
        ("/system.slice/nginx.service", None),
        ("/", None),
    ],
)
def test_the_container_of_a_cgroup(path: str, container: tuple[str, str] | None) -> None:
    assert container_of_cgroup(path) == (Container(*container) if container else None)


def test_the_user_of_a_service_manager() -> None:
    assert manager_uid("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service") == 1000
    assert manager_uid("/user.slice/user-1000.slice/session-3.scope") is None
