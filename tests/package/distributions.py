"""
The source distribution and the wheel, made of a copy of this directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: The directory of the project.
ROOT = Path(__file__).resolve().parent.parent.parent

#: What the back end of the build is told, by the kind of distribution.
_CALL = "import backend; print(backend.build_{kind}({directory!r}))"


def sources() -> list[str]:
    """
    The files of this directory that a fresh clone would have, relative to it.  It is a clone, or a
    source distribution, which has a list of its files.
    """
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        names = listed.decode().split("\0")
    else:
        names = (ROOT / "txcarp.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines()
    return sorted(name for name in names if (ROOT / name).is_file())


def copyTree(tree: Path) -> None:
    """
    Copy this directory as a fresh clone would have it.
    """
    for name in sources():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)


def build(kind: str, tree: Path, directory: Path) -> Path:
    """
    Build a distribution, without a network.

    @param kind: C{sdist} or C{wheel}.
    @param tree: The sources.
    @param directory: Where to write it.
    @return: Its file.
    @raise subprocess.CalledProcessError: If that fails.
    """
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", _CALL.format(kind=kind, directory=str(directory))],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "packaging")},
        capture_output=True,
        text=True,
        check=True,
    )
    return directory / done.stdout.splitlines()[-1]
