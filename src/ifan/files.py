"""Results become files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path

from ifan.errors import OutputError

_FULL = ("the disk is full", "free some space or write elsewhere")
_FORBIDDEN = ("may not be written", "check the permissions of the folder or write elsewhere")
_NO_FOLDER = ("its folder does not exist", "create the folder first or check the name")

# What the operating system says, as the reason and the remedy.
_EXPLANATIONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: ("is larger than a file may be here", "raise the limit or write elsewhere"),
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: ("is on a read-only disk", "write elsewhere"),
    errno.ENOENT: _NO_FOLDER,
    errno.ENOTDIR: ("its folder is not a folder but a file", "check the name"),
    errno.EISDIR: ("is a folder", "give the name of a file"),
    errno.EEXIST: ("already exists", "give --overwrite or another name"),
    errno.ENAMETOOLONG: ("has too long a name", "choose a shorter one"),
}


def write_atomically(
    path: str | os.PathLike[str], data: bytes | bytearray | memoryview, *, overwrite: bool = False
) -> None:
    """Write a file in one step: at no moment does `path` hold a part of the data.

    The data goes to a hidden file in the same folder first and reaches the disk before it gets its
    name. Whatever goes wrong, an interruption included, the hidden file is removed. Where `path` is
    a symbolic link and may be overwritten, the file it points to is replaced, not the link.

    Args:
        path: the file.
        data: all its bytes.
        overwrite: whether a file of that name is replaced; it then hands on its permissions.

    Raises:
        OutputError: the file exists and `overwrite` is not set, or it cannot be written.
    """
    try:
        target = Path(os.path.realpath(path) if overwrite else path)
        _refuse_taken(target, overwrite)
        # A short name of its own: the target's name may be as long as names may be.
        hidden = target.with_name(f".ifan-{secrets.token_hex(8)}.tmp")
        try:
            _write_to_disk(hidden, data)
            if overwrite:
                _replace(hidden, target)
            else:
                _name_if_free(hidden, target)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, path) from error


def require_free(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a path that a file could not be written to, as far as can be told before.

    Args:
        path: the file to be written.
        overwrite: whether a file of that name may be replaced.

    Raises:
        OutputError: a folder has that name, a file that must stay has it, or there is no folder
            to write to.
    """
    try:
        _refuse_taken(Path(path), overwrite)
    except OSError as error:
        raise _explained(error, path) from error


def _refuse_taken(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if not stat.S_ISDIR(target.parent.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Tell whether two paths lead to one file that exists."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 lower-case hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder; where one may not look, there is none."""
    try:
        return path.exists()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; where one may not look, there is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are not there yet.

    Raises:
        OutputError: that cannot be done.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(path, "is a file, not a folder", "give the name of a folder") from error
    except OSError as error:
        raise _explained(error, path) from error


def _explained(error: OSError, path: str | os.PathLike[str]) -> OutputError:
    said = error.strerror or type(error).__name__
    unforeseen = (f"cannot be written ({said})", "write elsewhere")
    return OutputError(path, *_EXPLANATIONS.get(error.errno or 0, unforeseen))


def _write_to_disk(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Write a new file, with the permissions the umask asks for, and wait for the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(hidden: Path, target: Path) -> None:
    """Put `hidden` in the place of `target`, which need not exist."""
    with contextlib.suppress(FileNotFoundError):
        # A private file stays private.
        hidden.chmod(target.stat().st_mode & 0o777)
    hidden.replace(target)


def _name_if_free(hidden: Path, target: Path) -> None:
    """Name `hidden` `target` unless something of that name has appeared meanwhile.

    A rename would replace that something silently; a hard link fails. Where the file system has no
    hard links (FAT, some network folders), the name is taken by creating an empty file, which the
    rename then replaces.
    """
    try:
        os.link(hidden, target)
    except FileExistsError:
        raise
    except OSError:
        target.touch(exist_ok=False)
        try:
            hidden.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
