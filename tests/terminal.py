"""
What a terminal shows of what a command wrote.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\n|\r|[^\x1b\n\r]+")


def shownBy(written: str) -> list[str]:
    """
    The lines on a terminal of unlimited size, without styles and without blanks
    at their ends.
    """
    lines, row, column = [""], 0, 0
    for token in _TOKEN.finditer(written):
        argument, final = token[1], token[2]
        if token[0] == "\n":
            row, column = row + 1, 0
        elif token[0] == "\r":
            column = 0
        elif final is None:
            old = lines[row].ljust(column)
            lines[row] = old[:column] + token[0] + old[column + len(token[0]) :]
            column += len(token[0])
        elif final == "A":
            row = max(0, row - int(argument))
        elif final == "H":
            row, column = 0, 0
        elif final == "J":
            lines[row:] = [lines[row][:column]]
        elif (argument, final) == ("2", "K"):
            lines[row] = ""
        else:
            assert final == "m" or argument == "?25", token[0]
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
