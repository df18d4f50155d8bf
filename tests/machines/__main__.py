"""
C{python -m tests.machines}: tests on whole machines.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.machines import roots

#: The modules of tests, each with the programs that it needs, and their packages.
_NEEDS = {
    "units": (),
    "deaths": (),
    "newcomer": (),
    "playbook": (),
    "containers": (("podman", "podman"), ("crun", "crun")),
}

#: What makes roots and machines, and the packages.
_ALWAYS = (
    *(("mmdebstrap", "mmdebstrap"), ("systemd-nspawn", "systemd-container")),
    *(("setpriv", "util-linux"), ("nsenter", "util-linux")),
)


def main(arguments: list[str]) -> int:
    """
    @return: The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.machines",
        description="Tests on whole machines with Debian. Needs root, and Debian packages, which "
        "it names if they are missing.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="TEST", help=f"{', '.join(_NEEDS)} [all]; also units.CLASS"
    )
    parser.add_argument(
        "--suite", action="append", choices=roots.SUITES, help="release of Debian [trixie]"
    )
    options = parser.parse_args(arguments)
    names = options.names or list(_NEEDS)
    modules = {name.partition(".")[0] for name in names}
    if unknown := modules - set(_NEEDS):
        parser.error(f"there is no test {min(unknown)!r}; there are: {', '.join(_NEEDS)}")
    if os.geteuid() != 0:
        parser.error("root is needed, to make machines")
    wanted = (*_ALWAYS, *(one for name in sorted(modules) for one in _NEEDS[name]))
    missing = {package for program, package in wanted if shutil.which(program) is None}
    if missing:
        parser.error(f"run: apt install {' '.join(sorted(missing))}")
    bad = [name for name in options.suite or ["trixie"] if _run(roots.SUITES[name], names)]
    return 1 if bad else 0


def _run(release: roots.Suite, names: list[str]) -> int:
    """
    Run tests with one release of Debian.

    @return: The exit status.
    """
    roots.CACHE.mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=roots.CACHE))
    try:
        print(f"Making machines with Debian {release.name}...", flush=True)
        wheels = roots.wheels(release, run)
        roots.unpacked(release, run / "fresh")
        roots.install(roots.unpacked(release, run / "installed"), wheels)
        environment = {**os.environ, roots.RUN: str(run), roots.SUITE: release.name}
        tests = [f"tests.machines.{name}" for name in names]
        command = [sys.executable, "-m", "twisted.trial", f"--temp-directory={run}/trial", *tests]
        return subprocess.call(command, cwd=roots.ROOT, env=environment)
    finally:
        shutil.rmtree(run)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
