"""Files that are there whole or not at all, whatever ends the process or the machine."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a file so that a crash leaves either the old content or the new one.

    Of several writers the last one wins.

    Raises:
        OSError: It cannot be written, and the old content is still there; or the new content is
            there, and the folder could not be forced to the disk. Nothing is beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Containers that share a volume have the same process ids.
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with scratch.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Forces a file's content, or a folder's list of names, to the disk.

    Raises:
        OSError: It cannot be done. File systems that know it for no folder at all, such as mounted
            buckets, are no error.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Forces a folder and everything in it to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)
