"""
Whether a web server answers a request as expected.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection
from functools import cache, partial
from urllib.parse import SplitResult, urlsplit

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from txcarp.checks.tcp import CheckFailed, ask, hostAndPort
from txcarp.interfaces import ICheck, IPlatform

_PORTS = {"http": 80, "https": 443}

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?:[ \r\n]|$)")

#: The most bytes of a status line.
_LONGEST_LINE = 1024

_HEADERS_END = re.compile(rb"\r?\n\r?\n")

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$")


@cache
def contextFor(verify: bool) -> ssl.SSLContext:
    """
    The certificates that this host trusts, and how they are used.  All checks share this: reading
    them takes some time.

    @param verify: Whether a server needs a certificate that this host trusts.
    """
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@implementer(ICheck)
@attrs.frozen
class HTTPCheck:
    """
    Whether a web server answers a GET request.  It asks by HTTP/1.0, and follows no redirection.

    @ivar url: What to ask for.  Its host is an address, such as in
        C{https://127.0.0.1:8443/health}.
    @ivar status: The good statuses; empty for 200 to 399.
    @ivar body: Text that must be in the first 64 KiB of the answer; empty for any.
    @ivar host: The name of the server in the request, and in its certificate; empty for the
        address.
    @ivar verify: Whether an C{https} server needs a certificate that this host trusts.
    """

    url: str
    status: Collection[int] = ()
    body: str = ""
    host: str = ""
    verify: bool = True
    _parts: SplitResult = attrs.field(init=False, repr=False, eq=False)
    #: Made here because reading the certificates takes some time, which a run must not take.
    _context: ssl.SSLContext | None = attrs.field(init=False, repr=False, eq=False)

    @_parts.default
    def _split(self) -> SplitResult:
        parts = urlsplit(self.url)
        if parts.scheme not in _PORTS or parts.username is not None:
            raise ValueError(f"{self.url!r} is not a URL such as http://127.0.0.1:8080/health")
        hostAndPort(parts.netloc, _PORTS[parts.scheme])
        for text in (self.url, self.host):
            if re.search(r"[^!-~]", text):
                raise ValueError(f"{text!r} has a character that a URL cannot have")
        for one in self.status:
            if one not in range(100, 600):
                raise ValueError(f"{one!r} is not a status from 100 to 599")
        return parts

    @_context.default
    def _findContext(self) -> ssl.SSLContext | None:
        return contextFor(self.verify) if self._parts.scheme == "https" else None

    def run(self, platform: IPlatform, timeout: float) -> Deferred[str]:
        parts, context = self._parts, self._context
        host, port = hostAndPort(parts.netloc, _PORTS[parts.scheme])
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = (
            f"GET {target} HTTP/1.0\r\nHost: {self.host or parts.netloc}\r\n"
            "User-Agent: txcarp\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
        tls = None
        if context is not None:
            tls = partial(context.wrap_bio, server_hostname=self.host or host)
        return ask(platform, host, port, request.encode("ascii"), self._read, tls)

    def _read(self, data: bytes, isWhole: bool) -> str | None:
        if b"\n" not in data and not isWhole and len(data) <= _LONGEST_LINE:
            return None
        line = data.partition(b"\n")[0]
        match = _STATUS_LINE.match(line)
        if match is None:
            if isWhole and not data:
                return None
            raise CheckFailed(f"the answer is not HTTP: {line[:40]!r}")
        status = int(match[1])
        good = status in self.status if self.status else 200 <= status < 400
        if not good:
            raise CheckFailed(f"status {status}")
        if not self.body:
            return f"status {status}"
        end = _HEADERS_END.search(data)
        if end is None:
            return None
        body = data[end.end() :]
        if self.body.encode() in body:
            return f"status {status}, with {self.body!r}"
        length = _LENGTH.search(data, 0, end.end())
        if isWhole or (length is not None and len(body) >= int(length[1])):
            raise CheckFailed(f"status {status}, but {self.body!r} is not in the answer")
        return None
