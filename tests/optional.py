"""
Tests of programs that are not installed for the tests, and that many machines lack.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any


def needing(program: str) -> Callable[[Any], Any]:
    """
    Decorate a test, or a class of tests, that needs a program.  Without the program there is no
    such test.

    @param program: Its name.
    """
    return lambda test: None if shutil.which(program) is None else test
