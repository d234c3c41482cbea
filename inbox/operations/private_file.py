"""The writing of files that are for the command's user alone."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all, in the place of the present one.

    Raises:
        OSError: the file cannot be written, or the path is a link or not a regular file: somebody
            else may have put it there.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OSError(None, "it is a link, or not a regular file; name another file")
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(new).replace(path)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise
