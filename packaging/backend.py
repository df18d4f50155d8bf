"""
How pip and other programs build txcarp: by setuptools, in a directory that is removed afterwards.

By itself, setuptools leaves C{build} beside the sources.  The next C{pip install .} would install
what is in there, too: modules that are gone from the sources since.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  (all other hooks of PEP 517)

#: The variable of the environment that names one more file like C{setup.cfg}.
_EXTRA = "DIST_EXTRA_CONFIG"


def build_wheel(wheel_directory: str, *arguments: Any, **keywords: Any) -> str:
    """
    See PEP 517.
    """
    before = os.environ.get(_EXTRA)
    with TemporaryDirectory() as directory:
        settings = Path(directory) / "build.cfg"
        settings.write_text(f"[build]\nbuild_base = {directory}/build\n", encoding="utf-8")
        os.environ[_EXTRA] = str(settings)
        try:
            return build_meta.build_wheel(wheel_directory, *arguments, **keywords)
        finally:
            if before is None:
                del os.environ[_EXTRA]
            else:
                os.environ[_EXTRA] = before
