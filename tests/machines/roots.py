"""
Fresh Debian roots, and txcarp in them.

A root is unpacked from an archive that is made once, and kept below L{CACHE}.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

import txcarp

#: The tree of this project.
ROOT = Path(txcarp.__file__).parent.parent

#: Where archives are kept, and where the roots of a run are unpacked.
CACHE = Path("/var/tmp/txcarp-machines")

#: The environment's name for the directory of this run, and for its release of Debian.
RUN, SUITE = "TXCARP_MACHINES_RUN", "TXCARP_MACHINES_SUITE"

#: What an administrator of such a host has installed.
_PACKAGES = (
    *("systemd-sysv", "dbus", "python3-venv", "iproute2", "iputils-ping", "procps", "curl"),
    "ca-certificates",
)

#: Where a virtual environment is made, as in README.rst.
PREFIX = "/opt/txcarp"

#: What a copy of this project for others does not have.
_LEFT_OUT = (
    *(".git", "build", "*.egg-info", "__pycache__", ".venv", ".mypy_cache", ".ruff_cache"),
    *("_trial_temp*", ".coverage*", ".hypothesis", "apidocs"),
)


@attrs.frozen
class Suite:
    """
    A release of Debian.

    @ivar name: Its name.
    @ivar python: The version of its Python.
    """

    name: str
    python: str


SUITES = {one.name: one for one in (Suite("bookworm", "3.11"), Suite("trixie", "3.13"))}


def current() -> tuple[Suite, Path]:
    """
    The release that this run is about, and its directory.

    @raise LookupError: If C{python -m tests.machines} does not run this.
    """
    return SUITES[os.environ[SUITE]], Path(os.environ[RUN])


def archive(release: Suite) -> Path:
    """
    The archive of a fresh root.  It is made if it is not there.
    """
    path = CACHE / f"{release.name}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".new.tar")
        include = f"--include={','.join(_PACKAGES)}"
        _run("mmdebstrap", "--quiet", "--variant=minbase", include, release.name, str(made))
        made.rename(path)
    return path


def unpacked(release: Suite, directory: Path) -> Path:
    """
    Unpack a fresh root.

    @param directory: Is made, and gets the root.
    @return: The directory.
    """
    directory.mkdir(parents=True)
    _run("tar", "--extract", f"--directory={directory}", f"--file={archive(release)}")
    return directory


def sources(directory: Path) -> Path:
    """
    Copy this project, as a new user gets it.

    @param directory: Is made, and gets the copy.
    """
    shutil.copytree(ROOT, directory, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    return directory


def wheels(release: Suite, work: Path) -> Path:
    """
    Get all that C{pip install .} gets in a root of a release, so that the root needs no network.

    @param work: A directory for temporary files.
    @return: The directory of the wheels.
    """
    found = work / "wheels"
    pip = (sys.executable, "-m", "pip", "--quiet", "--quiet")
    _run(*pip, "wheel", "--no-deps", f"--wheel-dir={found}", str(sources(work / "wheel-source")))
    [own] = found.glob("txcarp-*.whl")
    # What builds a wheel from a copy of the sources comes from the network, too.
    download(release, found, str(own), "setuptools>=68", "wheel")
    return found


def download(release: Suite, directory: Path, *names: str) -> None:
    """
    Get packages, and what they need, for the Python of a release.

    @param directory: Where they are put.
    """
    machine = os.uname().machine
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(17, 37)]
    platforms.append(f"--platform=manylinux2014_{machine}")
    target = ("--only-binary=:all:", f"--python-version={release.python}", *platforms)
    pip = (sys.executable, "-m", "pip", "--quiet", "--quiet", "download")
    _run(*pip, f"--dest={directory}", *target, *names)


def install(root: Path, found: Path) -> None:
    """
    Install txcarp in a root: in C{/opt/txcarp}, as README.rst does.

    @param found: The directory of the wheels.
    """
    shutil.copytree(found, root / "wheels")
    pip = (f"{PREFIX}/bin/pip", "--quiet", "install", "--no-index", "--find-links=/wheels")
    _run("chroot", str(root), "python3", "-m", "venv", PREFIX)
    _run("chroot", str(root), *pip, "txcarp")
    shutil.rmtree(root / "wheels")
    (root / "usr/local/sbin/txcarp").symlink_to(f"{PREFIX}/bin/txcarp")


def _run(*command: str) -> None:
    environment = {
        **os.environ,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
