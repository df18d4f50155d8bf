"""
What the real ucarp sent, accepted and printed, and what the BSD kernels sent and decided; see
C{README.rst} and C{kernels/README.rst} beside this.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def load(name: str) -> Any:
    """
    One of the files here, without its ending.
    """
    return json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))


def columns(name: str) -> dict[str, list[int]]:
    """
    One of the tables of decisions, by the names of its columns.
    """
    with lzma.open(_HERE / "kernels" / f"{name}.csv.xz", "rt", encoding="ascii") as file:
        lines = [line.rstrip().split(",") for line in file]
    return {column: list(map(int, values)) for column, *values in lines}
