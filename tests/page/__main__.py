"""
The command C{python -m tests.page}.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.page.browser import PROGRAMS
from tests.page.story import Story, forManual
from txcarp.testbed import unavailable

_AXE = Path("node_modules/axe-core/axe.min.js")


def main() -> int:
    """
    Run the command.

    @return: The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.page", description=__doc__)
    parser.add_argument(
        "--axe", type=Path, default=_AXE, help="the script of axe-core [%(default)s]"
    )
    parser.add_argument("--pictures", type=Path, help="the directory for the pictures")
    parser.add_argument(
        "--manual", action="store_true", help="replace the pictures of the manual, in docs"
    )
    options = parser.parse_args()
    for program in PROGRAMS:
        if shutil.which(program) is None:
            parser.error(f"there is no {program}: apt install chromium chromium-driver")
    if not options.axe.exists():
        parser.error(f"there is no {options.axe}: npm install --no-save axe-core")
    if reason := unavailable():
        parser.error(reason)
    pictures = options.pictures or Path(tempfile.mkdtemp(prefix="txcarp-pictures-"))
    pictures.mkdir(exist_ok=True)
    story = Story(options.axe.read_text(encoding="utf-8"), pictures)
    story.play()
    if options.manual:
        forManual(pictures, Path("docs"))
    print(f"pictures: {pictures}")
    print(f"{len(story.failures)} failures")
    return 1 if story.failures else 0


if __name__ == "__main__":
    sys.exit(main())
