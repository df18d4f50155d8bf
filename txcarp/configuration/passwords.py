"""
Passwords in files.
"""

from __future__ import annotations

import os
import stat

#: How many bytes of a password file ucarp reads.
_PASSWORD_FILE = 511


def passwordIn(path: str) -> tuple[bytes, list[str]]:
    """
    Read the password in a file: its first line, as ucarp reads it.

    @return: The password, and warnings about the file.
    @raise ValueError: If the file cannot be read or is empty.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_PASSWORD_FILE)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ValueError(f"unable to open passfile {path} for reading: {error.strerror}") from None
    if not text:
        raise ValueError(f"error reading passfile {path}: unexpected end of file")
    warnings = []
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.append(
            f"Others can read the password in {path} (mode {stat.S_IMODE(mode):04o}): "
            f"chmod 600 {path}"
        )
    password = text.split(b"\n", 1)[0].split(b"\0", 1)[0]
    if password.endswith(b"\r"):
        warnings.append(
            f"The password in {path} ends with a carriage return, which is part of the password. "
            "The file seems to come from Windows: remove the carriage return, unless all hosts "
            "have it"
        )
    return password, warnings
