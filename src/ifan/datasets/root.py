"""Where the data sets are: the `[DATASET_ROOT]` of the paper's code."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ifan.errors import IfanError
from ifan.places import place

VARIABLE = "IFAN_DATA_ROOT"
KEY = "data_root"


def config_file() -> Path:
    """Return where settings may be: `$IFAN_HOME/config.toml`, or the system's place for them."""
    return place("config") / "config.toml"


def dataset_root(option: Path | None = None) -> Path:
    """Return the folder that holds the folders of the data sets.

    Args:
        option: what the user gave; then comes `$IFAN_DATA_ROOT`, then `data_root` of `config_file`,
            and then the current folder.

    Raises:
        IfanError: the file of settings cannot be read.
    """
    return Path(option or os.environ.get(VARIABLE) or _configured() or ".").expanduser()


def _configured() -> str | None:
    path = config_file()
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8")).get(KEY)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise IfanError(path, reason, "check its permissions") from error
    except ValueError as error:
        raise IfanError(path, f"is no TOML ({error})", "mend it, or remove it") from error
    if said is not None and not isinstance(said, str):
        raise IfanError(path, f"{KEY} is no text", f"write {KEY} = '/where/the/sets/are'")
    return said
