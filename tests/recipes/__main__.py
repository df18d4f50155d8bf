"""
Run the recipes: C{python -m tests.recipes}, or some of them, by words of their titles.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.recipes.runs import runs
from tests.recipes.world import RecipeTestCase

_ROOT = Path(__file__).resolve().parent.parent.parent


def versions(packages: set[str]) -> str:
    """
    The versions of packages, as far as they are installed.
    """
    command = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *sorted(packages)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = [line for line in found.splitlines() if line.partition(" ")[2]]
    return ", ".join([*lines, f"Linux {platform.release()}"])


def losses(output: str) -> list[str]:
    """
    What clients lost, as a run reported it.
    """
    return re.findall(r"(?m)^ +lost: (.*?) *(?:\[\w+\])?$", output)


def play(run: type[RecipeTestCase]) -> bool:
    """
    Run a recipe and print what became of it.

    @return: Whether it was run, and did what it promises.
    """
    began = time.monotonic()
    name = f"{run.__module__}.{run.__qualname__}"
    done = subprocess.run(
        [sys.executable, "-m", "twisted.trial", name],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    good = done.returncode == 0 and "skips=" not in done.stdout
    seconds = time.monotonic() - began
    print(f"{'good' if good else 'BAD '}  {seconds:3.0f} s  {run.title}")
    for line in losses(done.stdout):
        print(f"             {line}")
    if not good:
        print(done.stdout)
    sys.stdout.flush()
    return good


def main(words: list[str]) -> int:
    """
    @return: The exit status: 0 if all were run and are good.
    """
    chosen = [
        run for run in runs() if not words or any(word in run.title.lower() for word in words)
    ]
    if not chosen:
        print(f"no recipe has one of these words in its title: {' '.join(words)}", file=sys.stderr)
        return 2
    print(versions({package for run in chosen for package in run.packages}))
    results = [play(run) for run in chosen]
    print(f"{sum(results)} of {len(results)} recipes did what they promise")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main([word.lower() for word in sys.argv[1:]]))
