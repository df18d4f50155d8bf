"""
Programs that ask a running txcarp, in a process of their own, for L{benchmarks.control}.

    python -m benchmarks.askers SOCKET CLIENTS SECONDS GROUP SEED

It prints a JSON object: for each request, the seconds until its answer was complete, and how many
requests of what kind had no right answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

#: Seconds between two requests of a program.
_PAUSE = 0.1

#: Requests of a program that asks one after the other, with their bodies.
_QUESTIONS = (
    ("GET", "/v1/status", None),
    ("GET", "/v1/groups/{group}", None),
    ("GET", "/v1/groups/{group}/explain", None),
    ("GET", "/readyz", None),
    ("POST", "/v1/groups/{group}/demote", {"reason": "test", "amount": 5}),
    ("POST", "/v1/groups/{group}/promote", {"reason": "test"}),
    ("POST", "/v1/reload", {"dry_run": True}),
)

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Askers:
    """
    Programs at one socket.

    @ivar seconds: The time until each answer, by request.
    @ivar wrong: The number of requests without a right answer, by request.
    """

    def __init__(self, path: str, group: str, seed: int) -> None:
        self._path = path
        self._group = group
        self._chance = random.Random(seed)
        self.seconds: dict[str, list[float]] = {}
        self.wrong: Counter[str] = Counter()

    async def ask(self, method: str, path: str, given: object = None) -> None:
        """
        Send a request, and read the answer.
        """
        name = f"{method} {path}"
        body = b"" if given is None else json.dumps(given).encode()
        head = f"{method} {path.format(group=self._group)} HTTP/1.0\r\n"
        begin = time.monotonic()
        try:
            reader, writer = await self._connected()
            try:
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = await reader.read(-1)
            finally:
                writer.close()
        except OSError:
            answer = b""
        if answer[9:12] in (b"200", b"409"):  # another program may have promoted it already
            self.seconds.setdefault(name, []).append(time.monotonic() - begin)
        else:
            self.wrong[name] += 1

    async def firstEvent(self) -> None:
        """
        Begin to read events, until no event is left out any more.
        """
        begin = time.monotonic()
        reader, writer = await self._connected()
        writer.write(b"GET /v1/events HTTP/1.0\r\n\r\n")
        while (line := await reader.readline()) and b'"listening"' not in line:
            pass
        self.seconds.setdefault("GET /v1/events", []).append(time.monotonic() - begin)
        writer.close()

    async def inTurn(self) -> None:
        """
        Ask everything, one after the other.
        """
        for question in _QUESTIONS:
            await self.ask(*question)
            await asyncio.sleep(_PAUSE)
        await self.firstEvent()
        await asyncio.sleep(_PAUSE)

    async def status(self) -> None:
        """
        Ask for all groups.
        """
        await self.ask("GET", "/v1/status")
        await asyncio.sleep(_PAUSE)

    async def change(self) -> None:
        """
        Demote and promote, so that there are events.
        """
        for question in _QUESTIONS[4:6]:
            await self.ask(*question)
            await asyncio.sleep(_PAUSE)

    async def follow(self) -> None:
        """
        Read events.
        """
        reader, writer = await self._connected()
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        try:
            while await reader.readline():
                pass
        finally:
            writer.close()

    async def crawl(self) -> None:
        """
        Ask for all groups or for events, and read so slowly that the answer never ends.
        """
        reader, writer = await self._connected(limit=1024)
        path = self._chance.choice((b"/v1/status", b"/v1/events"))
        writer.write(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        try:
            while await reader.read(512):
                await asyncio.sleep(0.5)
        finally:
            writer.close()

    async def rave(self) -> None:
        """
        Send what is no request, or a part of one.
        """
        reader, writer = await self._connected()
        chance = self._chance
        junk = chance.choice(
            (
                chance.randbytes(chance.randrange(3000)),
                b"GET /v1/status HTTP/1.1\r\nX: ",
                b"GET /v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 2000,
                b"POST /v1/groups/x/demote HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + b"{" * 9999,
                b"GET /v1/status HTTP/1.1\r\n\r\n" * 20,
                b"GET /" + b"%2e/" * 1000 + b" HTTP/1.1\r\n\r\n",
            )
        )
        writer.write(junk)
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(-1), chance.uniform(0.0, 3.0))
        writer.close()
        await asyncio.sleep(_PAUSE)

    async def _connected(self, limit: int = 1 << 20) -> _Streams:
        return await asyncio.open_unix_connection(self._path, limit=limit)


async def _repeated(what: Callable[[], Awaitable[None]], end: float) -> None:
    while time.monotonic() < end:
        with suppress(OSError):
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                await what()


async def _run(path: str, clients: int, seconds: float, group: str, seed: int) -> None:
    askers = Askers(path, group, seed)
    end = time.monotonic() + seconds
    kinds = [askers.status] * 4 + [askers.follow] * 2 + [askers.crawl] * 2
    kinds += [askers.rave, askers.change]
    wanted = [askers.inTurn] if clients == 1 else [kinds[one % 10] for one in range(clients)]
    with suppress(TimeoutError):
        await asyncio.gather(
            *(_repeated(one, end) for one in wanted), return_exceptions=clients > 1
        )
    print(json.dumps({"seconds": askers.seconds, "wrong": askers.wrong}))


if __name__ == "__main__":
    path_, clients_, seconds_, group_, seed_ = sys.argv[1:]
    if clients_ == "1":
        # The time until an answer is to be that of the daemon, and not that of other processes.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -15)
    asyncio.run(_run(path_, int(clients_), float(seconds_), group_, int(seed_)))
