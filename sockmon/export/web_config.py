"""The web configuration file of Prometheus exporters: TLS and basic authentication.

The format is that of https://prometheus.io/docs/prometheus/latest/configuration/https/. What sockmon does not know
of it is refused, so that nobody relies on a setting without effect."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Any

from sockmon.errors import SockmonError

_TLS_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""Python cannot ask for a certificate without verifying it, so the other two types are refused."""
_KEYS = {
    "": {"tls_server_config", "basic_auth_users"},
    "tls_server_config": {
        "cert_file",
        "key_file",
        "client_auth_type",
        "client_ca_file",
        "min_version",
        "max_version",
    },
}


class BadWebConfig(SockmonError):
    """The web configuration file cannot be used."""


@dataclass(frozen=True)
class WebConfig:
    """How the exporter is protected."""

    tls: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """bcrypt hash of each user's password; empty: no authentication."""

    def allows(self, user: str, password: str) -> bool:
        """Return whether a user may read the metrics. It takes as long for an unknown user as for a known one."""
        import bcrypt

        known = self.users.get(user)
        hashed = known if known is not None else next(iter(self.users.values()))
        # bcrypt uses 72 bytes of a password, and some versions refuse more.
        matches = bcrypt.checkpw(password.encode()[:72], hashed)
        return matches and known is not None and compare_digest(known, hashed)


def load(path: str) -> WebConfig:
    """Return the configuration in the file `path`; raise BadWebConfig with the line or key that is wrong."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWebConfig(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadWebConfig(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    settings = _mapping(path, "", content or {})
    tls = settings.get("tls_server_config")
    return WebConfig(
        None if tls is None else _tls(path, _mapping(path, "tls_server_config", tls)),
        _users(path, settings.get("basic_auth_users") or {}),
    )


def _mapping(path: str, place: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise BadWebConfig(f"{path}: {place or 'the file'} is not a mapping of keys to values")
    if unknown := sorted(str(key) for key in found.keys() - _KEYS[place]):
        known = ", ".join(sorted(_KEYS[place]))
        raise BadWebConfig(
            f"{path}: {place + '.' if place else ''}{unknown[0]} is not supported", f"known: {known}"
        )
    return found


def _users(path: str, found: Any) -> dict[str, bytes]:
    if not isinstance(found, dict):
        raise BadWebConfig(f"{path}: basic_auth_users is not a mapping of names to bcrypt hashes")
    for user, hashed in found.items():
        if not isinstance(hashed, str) or not hashed.startswith(("$2a$", "$2b$", "$2y$")) or len(hashed) != 60:
            hint = "htpasswd -nBC 10 '' prints one"
            raise BadWebConfig(f"{path}: the password of {user!r} is not a bcrypt hash", hint)
    return {str(user): hashed.encode() for user, hashed in found.items()}


def _tls(path: str, found: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(path).parent
    for key in ("cert_file", "key_file"):
        if not isinstance(found.get(key), str):
            raise BadWebConfig(f"{path}: tls_server_config needs {key}")
    try:
        context.load_cert_chain(folder / found["cert_file"], folder / found["key_file"])
        if found.get("client_ca_file"):
            context.load_verify_locations(folder / str(found["client_ca_file"]))
    except (OSError, ssl.SSLError) as error:
        raise BadWebConfig(f"{path}: the certificates cannot be used: {error.strerror or error}") from error
    context.minimum_version = _tls_version(path, "min_version", found.get("min_version", "TLS12"))
    if "max_version" in found:
        context.maximum_version = _tls_version(path, "max_version", found["max_version"])
    wanted = found.get("client_auth_type") or "NoClientCert"
    mode = _CLIENT_AUTH.get(wanted) if isinstance(wanted, str) else None
    if mode is None:
        known = ", ".join(_CLIENT_AUTH)
        raise BadWebConfig(f"{path}: client_auth_type {wanted} is not supported", f"known: {known}")
    if mode is ssl.CERT_REQUIRED and not found.get("client_ca_file"):
        raise BadWebConfig(f"{path}: client_auth_type {wanted} needs client_ca_file")
    context.verify_mode = mode
    return context


def _tls_version(path: str, key: str, wanted: Any) -> ssl.TLSVersion:
    if wanted not in _TLS_VERSIONS:
        raise BadWebConfig(f"{path}: {key} {wanted} is not supported", f"known: {', '.join(_TLS_VERSIONS)}")
    return _TLS_VERSIONS[wanted]
