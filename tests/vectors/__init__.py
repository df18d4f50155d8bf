"""
What the real ucarp sent, accepted and printed; see C{README.rst} beside this.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def load(name: str) -> Any:
    """
    One of the files here, without its ending.
    """
    return json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))
