"""`$XDG_CONFIG_HOME/sockmon/config.toml`: theme, interval, keys, read_only."""

from __future__ import annotations

from pathlib import Path

import msgspec
from platformdirs import user_config_path

from sockmon.errors import BadSettings
from sockmon.ui import toml

SHORTEST, LONGEST = 0.2, 60.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user can choose once and for all."""

    theme: str | None = None
    """Stem of a file in `themes/`; None: ours, or `console` on a terminal of sixteen colours."""
    interval: float = 1.0
    """Seconds between Snapshots, 0.2 to 60."""
    read_only: bool = False
    """Never offer to change anything."""
    keys: dict[str, str] = {}
    """Action id → keys, as `"pane.ports" = "3"`; the ids are in the help screen."""


def home() -> Path:
    """The user's own folder: `config.toml`, and `themes/` for more themes."""
    return user_config_path("sockmon")


def load(path: Path | None = None) -> Settings:
    """The settings of a file, defaults where there is none; raises BadSettings with the file and what is wrong."""
    path = path or home() / "config.toml"
    try:
        settings = msgspec.convert(toml.read(path), Settings)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise BadSettings(f"{path}: {error}", "known: theme, interval, read_only, [keys]") from error
    if not SHORTEST <= settings.interval <= LONGEST:
        raise BadSettings(f"{path}: interval must be {SHORTEST} to {LONGEST:.0f} seconds")
    return settings
