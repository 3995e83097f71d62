"""The web configuration file of Prometheus exporters: TLS and basic authentication.

The format is that of https://prometheus.io/docs/prometheus/latest/configuration/https/. What sockmon does not know
of it is refused, so that nobody relies on a setting without effect."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
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


MAX_BYTES = 1 << 20
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


class BadWebConfig(SockmonError):
    """The web configuration file cannot be used."""


@dataclass(frozen=True)
class WebConfig:
    """How the exporter is protected."""

    tls: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """bcrypt hash of each user's password; empty: no authentication."""

    _key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _accepted: dict[str, bytes] = field(default_factory=dict, repr=False)
    """A keyed hash of the password with which each user was accepted."""
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def allows(self, user: str, password: str) -> bool:
        """Return whether a user may read the metrics. It takes as long for an unknown user as for a known one
        with a wrong password.

        bcrypt is slow on purpose, so it checks one password at a time, and one that it has accepted not again: a
        scrape costs little, and a flood of wrong passwords at most one processor."""
        import bcrypt

        digest = blake2b(password.encode(), key=self._key).digest()
        if compare_digest(self._accepted.get(user, b""), digest):
            return True
        known = self.users.get(user)
        hashed = known if known is not None else next(iter(self.users.values()))
        with self._one:
            # bcrypt uses 72 bytes of a password, and some versions refuse more.
            matches = bcrypt.checkpw(password.encode()[:72], hashed)
        if not matches or known is None:
            return False
        self._accepted[user] = digest
        return True


def load(path: str) -> WebConfig:
    """Return the configuration in the file `path`; raise BadWebConfig with the line or key that is wrong."""
    import yaml

    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadWebConfig(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise BadWebConfig(f"{path} is larger than {MAX_BYTES >> 20} MB, so it is no web configuration")
    try:
        content = yaml.safe_load(text)
    # A date that is none is a ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadWebConfig(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    settings = _mapping(path, "", {} if content is None else content)
    return WebConfig(
        _tls(path, _mapping(path, "tls_server_config", settings["tls_server_config"]))
        if "tls_server_config" in settings
        else None,
        _users(path, settings["basic_auth_users"]) if "basic_auth_users" in settings else {},
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
    if not found:
        raise BadWebConfig(f"{path}: basic_auth_users has no user", "without it no password is asked for")
    for user, hashed in found.items():
        if not isinstance(hashed, str) or not _HASH.fullmatch(hashed):
            hint = "htpasswd -nBC 10 '' prints one"
            raise BadWebConfig(f"{path}: the password of {user!r} is not a bcrypt hash", hint)
    return {str(user): hashed.encode() for user, hashed in found.items()}


def _tls(path: str, found: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(path).parent
    for key in ("cert_file", "key_file"):
        if not isinstance(found.get(key), str):
            raise BadWebConfig(f"{path}: tls_server_config needs {key}")
    mode, authority = _client_auth(path, found)
    context.minimum_version = _tls_version(path, "min_version", found.get("min_version", "TLS12"))
    if "max_version" in found:
        context.maximum_version = _tls_version(path, "max_version", found["max_version"])
        if context.maximum_version < context.minimum_version:
            raise BadWebConfig(f"{path}: max_version is older than min_version")
    try:
        # A key with a passphrase would be asked for on the terminal; an empty one fails.
        context.load_cert_chain(folder / found["cert_file"], folder / found["key_file"], password="")
        if authority:
            context.load_verify_locations(folder / authority)
    except (OSError, ValueError) as error:
        raise BadWebConfig(
            f"{path}: the certificates cannot be used: {getattr(error, 'strerror', None) or error}",
            "they must be PEM files that this user may read, and the key must have no passphrase",
        ) from error
    context.verify_mode = mode
    return context


def _client_auth(path: str, found: Mapping[str, Any]) -> tuple[ssl.VerifyMode, str]:
    """Return whether clients need a certificate, and the file of its authority; empty if they need none."""
    wanted, authority = found.get("client_auth_type", "NoClientCert"), found.get("client_ca_file", "")
    mode = _CLIENT_AUTH.get(wanted) if isinstance(wanted, str) else None
    if mode is None:
        raise _unknown(path, "client_auth_type", wanted, _CLIENT_AUTH)
    if not isinstance(authority, str):
        raise BadWebConfig(f"{path}: client_ca_file is not the name of a file")
    if mode is not ssl.CERT_NONE and not authority:
        raise BadWebConfig(f"{path}: client_auth_type {wanted} needs client_ca_file")
    if mode is ssl.CERT_NONE and authority:
        hint = "client_auth_type: RequireAndVerifyClientCert"
        raise BadWebConfig(f"{path}: client_ca_file has no effect without client_auth_type", hint)
    return mode, authority


def _tls_version(path: str, key: str, wanted: Any) -> ssl.TLSVersion:
    if not isinstance(wanted, str) or wanted not in _TLS_VERSIONS:
        raise _unknown(path, key, wanted, _TLS_VERSIONS)
    return _TLS_VERSIONS[wanted]


def _unknown(path: str, key: str, wanted: object, known: Iterable[str]) -> BadWebConfig:
    # Only a text is quoted: a few lines of YAML can make a list that is as long as wanted.
    value = f"{key} {wanted[:80]}" if isinstance(wanted, str) else f"this {key}"
    return BadWebConfig(f"{path}: {value} is not supported", f"known: {', '.join(known)}")
