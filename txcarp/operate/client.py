"""
A client for a running txcarp, without Twisted.

Other programs can use it, too::

    from txcarp import Client

    for group in Client().status()["groups"]:
        print(group["name"], group["role"])
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from txcarp.configuration.places import CONTROL_SOCKET

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

#: Seconds until a client gives up.
PATIENCE = 15.0

#: The same for what carries out a change, which may have to wait for scripts.
ACTION_PATIENCE = 300.0

#: Seconds after which a stream of events without a sign of life has ended.
SILENCE = 45.0

#: The port on which a read-only server is expected.
PORT = 9112

#: Bytes of the longest answer.
_LONGEST = 1 << 26


class ControlError(Exception):
    """
    The request was refused, or the answer is not understood.

    @ivar word: What is wrong, as a word that stays the same in later versions.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word


class NoDaemon(ControlError):
    """
    No process answers.
    """


class NotPermitted(ControlError):
    """
    The user of this process may not do that.
    """


class Client:
    """
    Asks and tells a txcarp that runs on this host, or asks one on another host.  Each method
    blocks until it has the answer, and raises L{ControlError} if it gets none.  The documents are
    described in C{docs/control.rst}.
    """

    def __init__(
        self,
        path: str = CONTROL_SOCKET,
        timeout: float = PATIENCE,
        address: tuple[str, int] | None = None,
    ) -> None:
        """
        @param path: The path of the control socket.
        @param timeout: Seconds until a question is given up.
        @param address: The name or address and the port of a host whose txcarp has C{http}; it is
            asked in place of the one behind the socket, and cannot be told anything.
        """
        self._path = path
        self._timeout = timeout
        self._address = address

    def status(self) -> dict[str, Any]:
        """
        Return the state of all groups.
        """
        return self._ask("GET", "/v1/status")

    def group(self, name: str) -> dict[str, Any]:
        """
        Return the state of one group.

        @param name: Its name in the configuration file, or one such as C{eth0:7}.
        """
        return self._group("GET", name)

    def explain(self, name: str) -> dict[str, Any]:
        """
        Return why this host is master of a group or is not.
        """
        return self._ask("GET", f"/v1/groups/{quote(name, safe=':')}/explain")

    def demote(self, name: str, reason: str, amount: int, **terms: Any) -> dict[str, Any]:
        """
        Make the host less preferred in a group for a reason.

        @param terms: As in L{drain}: C{wait} and C{timeout}.
        @return: The state of the group afterwards.
        """
        return self._group("POST", name, "demote", {"reason": reason, "amount": amount, **terms})

    def promote(self, name: str, reason: str, **terms: Any) -> dict[str, Any]:
        """
        End the demotion for a reason.

        @param terms: As in L{drain}: C{wait} and C{timeout}.
        @return: The state of the group afterwards.
        """
        return self._group("POST", name, "promote", {"reason": reason, **terms})

    def takeOver(self, name: str, **terms: Any) -> dict[str, Any]:
        """
        Become master of a group.

        @param terms: As in L{drain}: C{wait} and C{timeout}.
        @return: The state of the group afterwards.
        """
        return self._group("POST", name, "takeover", terms)

    def drain(self, name: str | None = None, **terms: Any) -> dict[str, Any]:
        """
        Take the host out of the election of a group.

        @param name: The name of the group; C{None} for all groups.
        @param terms: C{duration}, the time until that ends, in seconds or such as C{"10m"};
            C{anyway}, whether to do it even if no other host is master; C{wait}, whether to wait
            for the result; C{timeout}, for how long, in seconds.
        @return: For a group, its state as C{group}, and what has happened as C{message}.  For
            all groups, C{results}, each with C{name}, C{title}, C{error}, which is C{None} or a
            word, and C{message}.
        """
        return self._maintain("drain", name, terms)

    def resume(self, name: str | None = None, **terms: Any) -> dict[str, Any]:
        """
        End a drain.

        @param terms: As in L{drain}: C{wait} and C{timeout}.
        @return: As L{drain}.
        """
        return self._maintain("resume", name, terms)

    def reload(
        self, dryRun: bool = False, confirm: float | str | None = None, **terms: Any
    ) -> dict[str, Any]:
        """
        Have the configuration file read again.

        @param dryRun: Whether only to find out what would change.
        @param confirm: Seconds, or a time such as C{2m}, after which the change is undone unless
            L{confirm} is called; C{None} if it stays.
        @param terms: As in L{drain}: C{wait} and C{timeout}.
        """
        given = {"dry_run": dryRun, "confirm": confirm, **terms}
        return self._ask("POST", "/v1/reload", given)

    def confirm(self) -> dict[str, Any]:
        """
        Keep the change that waits for this.
        """
        return self._ask("POST", "/v1/confirm", {})

    def _maintain(
        self, action: str, name: str | None, terms: dict[str, Any]
    ) -> dict[str, Any]:
        given = {"for" if key == "duration" else key: value for key, value in terms.items()}
        group = "" if name is None else f"groups/{quote(name, safe=':')}/"
        return self._ask("POST", f"/v1/{group}{action}", given)

    def forget(self, address: str, group: str | None = None) -> list[str]:
        """
        Forget that a host seals its advertisements.

        @param address: The source address of the host.
        @param group: The name of the only group in which to forget it; C{None} for all.
        @return: The names of the groups that knew it.
        """
        given = {"address": address} if group is None else {"address": address, "group": group}
        return [str(name) for name in self._ask("POST", "/v1/forget", given)["groups"]]

    def events(
        self, groups: Sequence[str] = (), lastID: str = ""
    ) -> Iterator[dict[str, Any]]:
        """
        Yield what happens, as it happens.  The state of each group comes first, or with
        C{lastID}, if possible, what has happened since then.  The iteration ends when txcarp
        ends.

        @param groups: The names of groups; all, if it is empty.
        @param lastID: The C{id} of the last event that is known.
        """
        query = urlencode([("group", name) for name in groups])
        headers = {"Accept": "application/x-ndjson"}
        if lastID:
            headers["Last-Event-ID"] = lastID
        with self._connected(SILENCE) as connection:
            response = _answered(connection, "GET", f"/v1/events?{query}", None, headers)
            if response.status != 200:
                _read(response.status, response.read(_LONGEST))
            while line := response.readline(_LONGEST):
                if line.strip():
                    yield _event(line)

    def _group(
        self, method: str, name: str, action: str = "", given: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        path = f"/v1/groups/{quote(name, safe=':')}"
        found = self._ask(method, f"{path}/{action}" if action else path, given)
        group: dict[str, Any] = found["group"]
        return group

    def _ask(
        self, method: str, path: str, given: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        with self._connected(self._timeout if method == "GET" else ACTION_PATIENCE) as connection:
            body = None if given is None else json.dumps(given)
            response = _answered(
                connection, method, path, body, {"Content-Type": "application/json"}
            )
            code, data = response.status, response.read(_LONGEST)
        return _read(code, data)

    @contextmanager
    def _connected(self, timeout: float) -> Iterator[HTTPConnection]:
        """
        Connect, and say in the words of L{ControlError} what goes wrong.
        """
        # These take longer to load than the whole rest of a command, and its help needs none.
        import socket
        from http.client import HTTPConnection, HTTPException

        # Each server knows itself by this name, whatever its host is called from here.
        connection = HTTPConnection("localhost")
        where = self._path if self._address is None else "{}, port {}".format(*self._address)
        try:
            if self._address is None:
                connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.sock.settimeout(timeout)
                connection.sock.connect(self._path)
            else:
                connection.sock = socket.create_connection(self._address, timeout)
            yield connection
        except PermissionError:
            raise NotPermitted(
                "not-permitted", f"you may not open {where}: try it as root"
            ) from None
        except TimeoutError:
            raise NoDaemon(
                "no-answer", f"the process behind {where} does not answer in time"
            ) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "start one with --config or --control, or name its socket with --control here"
            if self._address is not None:
                hint = "start one there with --http, or http in [daemon]"
            raise NoDaemon(
                "no-daemon",
                f"no txcarp answers on {where} ({reason or type(error).__name__}): {hint}",
            ) from None
        finally:
            connection.close()


def _answered(
    connection: HTTPConnection, method: str, path: str, body: str | None, headers: dict[str, str]
) -> HTTPResponse:
    """
    Send a request, and read the head of the answer.
    """
    with suppress(BrokenPipeError):  # a server with too many clients says so, and does not read
        connection.request(method, path, body, headers)
    return connection.getresponse()


def _event(line: bytes) -> dict[str, Any]:
    """
    An event in a line.

    @raise ControlError: If it is none.
    """
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or "event" not in event:
        raise ControlError("not-understood", "what is sent in place of an event is not understood")
    return event


def _read(code: int, data: bytes) -> dict[str, Any]:
    """
    The document in an answer.

    @raise ControlError: If it is an error.
    """
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict) or "schema" not in document:
        raise ControlError("not-understood", f"the answer is not understood: status {code}")
    if code == 200:
        return document
    kind = NotPermitted if code == 403 else ControlError
    raise kind(str(document.get("error")), str(document.get("message")))
