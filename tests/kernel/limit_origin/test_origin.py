"""Who set a limit and what to change, on invented hosts: units, logins, containers, scripts, programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.kernel.limit_origin.start_scripts import find_ulimit
from tests.kernel.limit_origin.fake_host import PAM_LIMITS, FakeHost

ETC = "/etc/systemd/system"
ID = "0f3e" * 16


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def test_a_drop_in_of_a_unit(host: FakeHost) -> None:
    host.file("/usr/lib/systemd/system/web.service", "[Service]\nLimitNOFILE=65536\n")
    host.file(f"{ETC}/web.service.d/limits.conf", "[Service]\nLimitNOFILE=1024:524288\n")
    host.service()
    assert host.text(value="8192:524288") == (
        "1,024 soft, 524,288 hard: web.service,"
        f" LimitNOFILE=1024:524288 in {ETC}/web.service.d/limits.conf:2\n"
        f"To last: change {ETC}/web.service.d/limits.conf:2 to LimitNOFILE=8192:524288"
        " (systemctl edit web.service), then systemctl daemon-reload && systemctl restart web.service."
    )


def test_a_unit_of_a_package_is_not_to_be_edited_in_its_place(host: FakeHost) -> None:
    host.file("/usr/lib/systemd/system/web.service", "[Service]\nLimitNOFILE=1024:524288\n")
    host.service()
    text = host.text(value="8192:8192")
    assert "LimitNOFILE=1024:524288 in /usr/lib/systemd/system/web.service:2" in text
    assert "systemctl edit web.service, add LimitNOFILE=8192:8192 below [Service]" in text


def test_the_default_of_the_manager_and_that_of_systemd(host: FakeHost) -> None:
    host.file("/usr/lib/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/web\n")
    host.service()
    assert "web.service sets none: the default of systemd" in host.text()
    host.file("/etc/systemd/system.conf", "[Manager]\n#DefaultLimitNOFILE=5\nDefaultLimitNOFILE=1024:524288\n")
    assert "web.service sets none; DefaultLimitNOFILE=1024:524288 in /etc/systemd/system.conf:3" in host.text()
    host.file("/etc/systemd/system.conf.d/x.conf", "[Manager]\nDefaultLimitNOFILE=7:8\n")
    origin = host.origin()
    assert origin.next_start is not None
    assert (origin.next_start.soft, origin.next_start.hard) == (7, 8)


def test_infinity_is_the_hard_limit_of_the_manager(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNOFILE=infinity\n")
    host.service(nofile=(1048576, 1048576))
    assert "LimitNOFILE=infinity in /etc/systemd/system/web.service:2" in host.text()


def test_other_resources_have_other_directives(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNPROC=77\nLimitMEMLOCK=1M:2M\n")
    host.service(nproc=(77, 77), memlock=(1 << 20, 2 << 20))
    assert "LimitNPROC=77 in" in host.text(resource="nproc")
    assert "LimitMEMLOCK=1M:2M in" in host.text(resource="memlock")


def test_a_program_that_raised_its_soft_limit(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNOFILE=1024:4096\n")
    host.service(nofile=(4096, 4096))
    origin = host.origin()
    assert (origin.soft_source.kind, origin.hard_source.kind) == ("program", "unit")
    text = host.text()
    assert "soft: web[44] itself (setrlimit), its start script, or prlimit; hard: web.service, Limit" in text
    assert "The next start gets 1,024:4,096" in text


def test_a_worker_that_inherited_what_its_master_set(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNOFILE=1024\n")
    host.service(nofile=(9999, 9999))
    host.process(45, "worker", 44, "/system.slice/web.service", nofile=(9999, 9999))
    assert "9,999 soft, 9,999 hard: inherited from web[44]. The next start gets 1,024" in host.text(45)
    assert host.origin(44).soft_source.kind == "program"


def test_ulimit_in_a_start_script(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNOFILE=1024:9000\nExecStart=/opt/web/start.sh --fast\n")
    host.file("/opt/web/start.sh", "#!/bin/sh\n# ulimit -n 1\ncd /opt && ulimit -Sn 9000\nexec web\n")
    host.service(nofile=(9000, 9000))
    assert "soft: `ulimit -Sn 9000` in /opt/web/start.sh:3; hard: web.service" in host.text()
    assert "change the line in /opt/web/start.sh:3" not in host.text()


@pytest.mark.parametrize("script", ["/dev/fd/3", "/opt", "/opt/pipe", "/opt/absent.sh"])
def test_what_is_no_script_is_not_read(host: FakeHost, script: str) -> None:
    (host.root / "opt").mkdir()
    os.mkfifo(host.root / "opt/pipe")
    host.process(60, "bash", 1, "/", command=("bash", script), nofile=(5000, 5000))
    host.process(61, "web", 60, "/", nofile=(5000, 5000))
    assert host.origin(61).soft_source.kind == "inherited"


def test_a_shell_that_is_still_there_names_its_script(host: FakeHost) -> None:
    host.file("/opt/start", "#!/bin/bash\nulimit -n 5000\n/opt/web\n")
    host.process(60, "start", 1, "/", command=("/bin/bash", "/opt/start"), nofile=(5000, 5000))
    host.process(61, "web", 60, "/", nofile=(5000, 5000))
    text = host.text(61)
    assert "5,000 soft, 5,000 hard: `ulimit -n 5000` in /opt/start:2" in text
    assert "To last: change the line in /opt/start:2, then start it again." in text


def test_a_unit_that_was_changed_after_the_start(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service", "[Service]\nLimitNOFILE=9000\n")
    host.process(44, "web", 1, "/system.slice/web.service", nofile=(1024, 4096), start=0)
    origin = host.origin()
    assert origin.edited
    assert "set before /etc/systemd/system/web.service was changed. The next start gets 9,000" in host.text()


def test_a_unit_of_a_user(host: FakeHost) -> None:
    base = "/user.slice/user-1000.slice/user@1000.service"
    host.file("/home/ada/.config/systemd/user/web.service", "[Service]\nLimitNOFILE=2000\n")
    host.process(90, "systemd", 1, f"{base}/init.scope", nofile=(4096, 4096), uid=1000)
    host.process(91, "web", 90, f"{base}/app.slice/web.service", nofile=(2000, 2000), uid=1000)
    text = host.text(91, value="3000:3000")
    assert "web.service, LimitNOFILE=2000 in /home/ada/.config/systemd/user/web.service:2" in text
    assert "systemctl --user edit web.service" in text
    assert "No unit of ada gets more than 4,096" in text
    host.file("/home/ada/.config/systemd/user/web.service.d/a.conf", "[Service]\nLimitNOFILE=9999\n")
    host.process(92, "web", 90, f"{base}/app.slice/web.service", nofile=(4096, 4096), uid=1000)
    assert host.origin(92).soft_source.text == "LimitNOFILE=9999"


def _login(host: FakeHost, nofile: tuple[int, int], uid: int = 1000) -> None:
    host.file("/etc/pam.d/sshd", "session include common\n")
    host.file("/etc/pam.d/common", PAM_LIMITS)
    session = "/user.slice/user-1000.slice/session-3.scope"
    host.process(70, "sshd", 1, "/system.slice/ssh.service")
    host.process(71, "sshd", 70, session, nofile=(1024, 524288))
    host.process(72, "bash", 71, session, nofile=nofile, uid=uid)
    host.process(73, "web", 72, session, nofile=nofile, uid=uid)


def test_a_login_with_a_line_in_limits_conf(host: FakeHost) -> None:
    host.file("/etc/security/limits.conf", "# comment\n@staff soft nofile 3000\n@staff hard nofile 4000\n")
    host.file("/etc/security/limits.d/50-all.conf", "*  -  nofile  10\n")
    _login(host, (3000, 4000))
    text = host.text(73, value="5000:6000")
    assert (
        "soft: login of ada through sshd, `@staff soft nofile 3000` in /etc/security/limits.conf:2; hard: " in text
    )
    assert "`ada soft nofile 5000` and `ada hard nofile 6000`" in text
    assert "log in again" in text


def test_a_login_without_a_line_on_debian_takes_the_limits_of_process_1(host: FakeHost) -> None:
    host.file("/etc/debian_version", "12\n")
    _login(host, (1024, 1048576))
    assert "limits.conf sets none: pam_limits takes those of process 1" in host.text(73)


def test_a_login_without_a_line_elsewhere_inherits(host: FakeHost) -> None:
    _login(host, (1024, 524288))
    assert "inherited from sshd[71]" in host.text(73)
    assert "`ada - nofile 5000` to a file in /etc/security/limits.d" in host.text(73, value="5000:5000")


def test_a_user_who_is_not_in_passwd_is_unknown(host: FakeHost) -> None:
    _login(host, (1024, 524288), uid=4711)
    assert "unknown: login of 4711 through sshd, who is not in /etc/passwd" in host.text(73)


def test_a_unit_with_pam(host: FakeHost) -> None:
    host.file(f"{ETC}/user@.service", "[Service]\nPAMName=systemd-user\nLimitNOFILE=99\n")
    host.file("/etc/pam.d/systemd-user", "-session optional pam_systemd.so\nsession required pam_limits.so\n")
    host.file("/etc/security/limits.conf", "ada - nofile 777\n")
    host.process(90, "systemd", 1, "/user.slice/user@1000.service/init.scope", nofile=(777, 777), uid=1000)
    text = host.text(90)
    assert "777 soft, 777 hard: user@1000.service, `ada - nofile 777` in /etc/security/limits.conf:1" in text


def _container(host: FakeHost, nofile: tuple[int, int], cgroup: str) -> None:
    host.process(80, "containerd-shim", 1, "/system.slice/containerd.service", nofile=(1024, 524288))
    host.process(81, "web", 80, cgroup, nofile=nofile)


def test_a_container_with_ulimits(host: FakeHost) -> None:
    folder = f"/run/containerd/io.containerd.runtime.v2.task/moby/{ID}"
    limits = [{"type": "RLIMIT_NOFILE", "soft": 2048, "hard": 4096}]
    host.file(f"{folder}/config.json", json.dumps({"process": {"rlimits": limits}}))
    _container(host, (2048, 4096), f"/system.slice/docker-{ID}.scope")
    text = host.text(81, value="9:9")
    assert f"docker container 0f3e0f3e0f3e, RLIMIT_NOFILE 2048:4096 in {folder}/config.json" in text
    assert "--ulimit nofile=9:9" in text
    daemon = {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 2048, "Hard": 4096}}}
    host.file("/etc/docker/daemon.json", json.dumps(daemon, indent=1))
    assert "default of docker: default-ulimits: nofile=2048:4096 in /etc/docker/daemon.json:3" in host.text(81)


def test_a_container_without_ulimits_has_those_of_the_unit_of_its_engine(host: FakeHost) -> None:
    host.file(f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json", '{"process": {}}')
    host.file("/usr/lib/systemd/system/containerd.service", "[Service]\nLimitNOFILE=infinity\n")
    _container(host, (1048576, 1048576), f"/kubepods.slice/cri-containerd-{ID}.scope")
    text = host.text(81, value="65536:65536")
    assert "containerd.service, LimitNOFILE=infinity in /usr/lib/systemd/system/containerd.service:2" in text
    assert "Kubernetes has no ulimits" in text


def test_podman_and_lxc(host: FakeHost) -> None:
    host.file("/etc/containers/containers.conf", '[containers]\ndefault_ulimits = [\n "nofile=11:22",\n]\n')
    _container(host, (11, 22), f"/machine.slice/libpod-{ID}.scope")
    assert "default of podman: default_ulimits: nofile=11:22 in /etc/containers/containers.conf:3" in host.text(81)
    host.file("/var/lib/lxc/box/config", "lxc.prlimit.nofile = 33:44\n")
    host.process(82, "web", 1, "/lxc.payload.box", nofile=(33, 44))
    assert "lxc container box, lxc.prlimit.nofile = 33:44 in /var/lib/lxc/box/config:1" in host.text(82)


def test_inside_of_a_container_without_its_engine(host: FakeHost) -> None:
    host.file("/.dockerenv", "")
    host.process(50, "web", 1, "/", nofile=(1048576, 1048576))
    assert "docker container, as its process 1 was started" in host.text(50)
    host.process(51, "web", 50, "/", nofile=(5, 6))
    assert "web[51] itself (setrlimit), its start script, or prlimit" in host.text(51)
    assert "Set it in whatever starts it" in host.text(51)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_makes_it_unknown(host: FakeHost) -> None:
    host.file(f"{ETC}/web.service.d/a.conf", "[Service]\nLimitNOFILE=1024:524288\n").chmod(0)
    host.service()
    origin = host.origin()
    assert origin.soft_source.kind == "unknown"
    assert f"unknown: {ETC}/web.service.d/a.conf: Permission denied" in host.text()


def test_a_file_that_is_no_file_makes_it_unknown(host: FakeHost) -> None:
    folder = host.root / ETC.lstrip("/") / "web.service.d"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "a.conf")
    host.service()
    assert "unknown: /etc/systemd/system/web.service.d/a.conf: not a regular file" in host.text()


def test_process_1(host: FakeHost) -> None:
    assert "1,048,576 soft, 1,048,576 hard: process 1 itself, or what started it" in host.text(1)


def test_a_process_that_has_ended_has_no_origin(host: FakeHost) -> None:
    assert OriginFinder(str(host.root), str(host.proc)).find(4711, "nofile") is None


def test_a_script_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "script.sh")
    assert find_ulimit(ConfigFiles(tmp_path), ["/script.sh"], "nofile", 1024, 4096) is None
