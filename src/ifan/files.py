"""Results become files whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ifan.errors import OutputError

if sys.platform != "win32":
    import fcntl

# Of files that are being written: the token is random.
_HIDDEN_NAME = ".ifan-{token}.tmp"
_TOKEN_BYTES = 8
_ANY_TOKEN = "[0-9a-f]" * 2 * _TOKEN_BYTES

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
    name. Whatever goes wrong, an interruption included, the hidden file is removed; what a killed
    process leaves, `remove_leftovers` does. Where `path` is a symbolic link and may be overwritten,
    the file it points to is replaced, not the link.

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
        with _hidden_file(target.parent) as file:
            hidden = Path(file.name)
            _write_to_disk(file, data)
            if sys.platform == "win32":
                file.close()  # what is open cannot be renamed there
            if overwrite:
                _replace(hidden, target)
            else:
                _name_if_free(hidden, target)
    except OSError as error:
        raise _explained(error, path) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden files of processes that were killed while they wrote to a folder.

    What a living process is writing stays: it holds a lock, which goes with the process. On Windows
    a file that is open cannot be removed anyway.
    """
    try:
        leftovers = list(folder.glob(_HIDDEN_NAME.format(token=_ANY_TOKEN)))
    except OSError:  # who writes there will hear of it
        return
    for hidden in leftovers:
        with contextlib.suppress(OSError):  # in use, or not ours to remove
            if sys.platform == "win32":
                hidden.unlink()
                continue
            with hidden.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                hidden.unlink()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder for this process, and tell whether that could be: False, if another one has.

    The lock goes with the process, and leaves nothing. On Windows, and on disks without locks, all
    may have it.
    """
    if sys.platform == "win32":
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except OSError as error:
            is_ours = error.errno not in (errno.EAGAIN, errno.EACCES)
        yield is_ours
    finally:
        os.close(descriptor)


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
        number = errno.EROFS if _is_read_only(target.parent) else errno.EACCES
        raise OSError(number, os.strerror(number))


def _is_read_only(folder: Path) -> bool:
    """Whether a folder is on a disk that nobody may write to."""
    return sys.platform != "win32" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


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


def is_written(path: Path) -> bool:
    """Tell whether there is a file with something in it; where one may not look, there is none.

    An empty one is no result: a process may have been killed after it had taken the name.
    """
    try:
        return path.is_file() and path.stat().st_size > 0
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


@contextlib.contextmanager
def _hidden_file(folder: Path) -> Iterator[BinaryIO]:
    """Open a new hidden file, locked; when it is left, nothing of that name remains.

    Its permissions are those that the umask asks for. Its name is short: that of the target may be
    as long as names may be.
    """
    while True:
        hidden = folder / _HIDDEN_NAME.format(token=secrets.token_hex(_TOKEN_BYTES))
        try:
            with hidden.open("xb") as file:
                _lock(file)
                # Before it was locked, another process may have taken it for a leftover.
                if hidden.exists():
                    yield file
                    return
        finally:
            hidden.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> None:
    """Say that a file is in use, until it is closed or the process ends."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # without locks on that disk, nobody removes leftovers
        fcntl.flock(file, fcntl.LOCK_EX)


def _write_to_disk(file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
    """Write to an open file and wait for the disk."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _replace(hidden: Path, target: Path) -> None:
    """Put `hidden` in the place of `target`, which need not exist."""
    with contextlib.suppress(FileNotFoundError):
        old, new = (path.stat().st_mode & 0o777 for path in (target, hidden))
        try:
            if new != old:
                hidden.chmod(old)
        except PermissionError:  # some disks, as of cameras, have no permissions to change
            # A private file stays private.
            if new & ~old:
                raise
    hidden.replace(target)


def _name_if_free(hidden: Path, target: Path) -> None:
    """Name `hidden` `target` unless something of that name has appeared meanwhile.

    A rename would replace that something silently; a hard link fails. Where the file system has no
    hard links (FAT, some network folders), some systems can rename without replacing. On the others
    the name is taken by creating an empty file, which the rename then replaces.
    """
    for name in (os.link, _rename_without_replacing):
        try:
            return name(hidden, target)
        except FileExistsError:
            raise
        except OSError:
            continue
    target.touch(exist_ok=False)
    try:
        hidden.replace(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _rename_without_replacing(hidden: Path, target: Path) -> None:
    """Rename a file; fail if something of the new name is there, or the system cannot do that."""
    if sys.platform == "win32":
        hidden.rename(target)
        return
    # Linux has a call for it, which Python does not offer.
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, no_replace = -100, 1
    names = os.fsencode(hidden), os.fsencode(target)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(here, names[0], here, names[1], no_replace) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
