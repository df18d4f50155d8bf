"""
The page for browsers: one document without anything from elsewhere, which only reads.

Its parts are files in C{web}.  They are put together once, when the process starts: a disk that
hangs later does not matter.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from txcarp.operate.documents import Answer

_PARTS = Path(__file__).parent / "web"

#: What the page may do, besides what is listed in L{page}: load the icon in itself, ask the process
#: that it came from.  It is in no frame, sends no form, and makes no markup of text.
_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def loaded(wanted: bool) -> Answer | None:
    """
    The page, if it is wanted.

    @raise OSError: If a part of it cannot be read.
    """
    return page() if wanted else None


def page() -> Answer:
    """
    Put the page together.  It permits its own style and its own script by their digests, and no
    others.
    """
    style, script = (_PARTS.joinpath(name).read_bytes() for name in ("page.css", "page.js"))
    body = _PARTS.joinpath("page.html").read_bytes()
    for mark, part in ((b"/* page.css */", style), (b"/* page.js */", script)):
        before, _, after = body.partition(mark)
        body = before + part + after
    policy = _POLICY.format(script=_digest(script), style=_digest(style))
    return Answer(
        200,
        body,
        b"text/html; charset=utf-8",
        (
            (b"Content-Security-Policy", policy.encode()),
            (b"Referrer-Policy", b"no-referrer"),
        ),
    )


def _digest(part: bytes) -> str:
    """
    The source of a part, for a Content-Security-Policy.
    """
    return f"'sha256-{b64encode(sha256(part).digest()).decode()}'"
