"""Folders on disks and in object stores, behind the few things that a batch does with them.

An address is a path, or what fsspec knows: `s3://bucket/folder`, `gs://...`, `sftp://...`.
"""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ifan.cluster.storage.disk import Disk
from ifan.cluster.storage.interface import Entry, Missed, Storage, said_by
from ifan.cluster.storage.store import PATIENCE, Store
from ifan.errors import IfanError

__all__ = ["Disk", "Entry", "Missed", "Storage", "open_storage", "said_by"]

_INSTALL = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}


def open_storage(
    address: str, options: dict[str, Any] | None = None, patience: float = PATIENCE
) -> Storage:
    """Return the folder of an address.

    Args:
        address: a path, or an address with a protocol that fsspec knows.
        options: for the file system of that protocol.
        patience: seconds for which a store that does not answer is asked again.

    Raises:
        IfanError: the protocol is unknown, its package is not installed, or there is nobody.
    """
    if "://" not in address:
        return Disk(address)
    try:
        files = fsspec.get_filesystem_class(address.partition("://")[0])
        if files is LocalFileSystem:
            return Disk(LocalFileSystem._strip_protocol(address))
        return Store(address, options or {}, patience)
    except ValueError as error:
        raise IfanError(address, f"is no address ({error})", "give a path, or s3://...") from error
    except ImportError as error:
        package = _INSTALL.get(address.partition("://")[0], "what fsspec names")
        raise IfanError(
            address, f"needs a package ({error})", f"install it: pip install {package}"
        ) from error
    except (OSError, TypeError) as error:
        reason = f"cannot be reached ({said_by(error)})"
        raise IfanError(address, reason, "check the address and the network") from error
