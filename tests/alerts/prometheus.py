"""
A real Prometheus on a node of the test network.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import yaml

import txcarp
from tests.lab.daemons import Daemon
from txcarp.testbed import Node

_EXAMPLES = Path(txcarp.__file__).parent.parent / "examples"

#: The alerts, and the dashboard.
ALERTS = _EXAMPLES / "prometheus" / "alerts.yml"
DASHBOARD = _EXAMPLES / "grafana" / "txcarp.json"

#: By how much the times of the rules are divided.
FASTER = 30

#: The most seconds for which a condition has to last.  Those of hours and days would take minutes.
_LONGEST = 5.0

#: The seconds between two looks at a daemon, and between two looks at the rules.
INTERVAL = 1

_PORT = 9090
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """
    The seconds of a time such as C{5m}.
    """
    return int(text[:-1]) * _UNITS[text[-1]]


def faster(rules: Mapping[str, Any]) -> dict[str, Any]:
    """
    The same rules, with shorter times: the ranges in brackets are divided by L{FASTER}, and so is
    the time for which a condition must last, up to L{_LONGEST}.  Nothing else changes.
    """

    def rule(one: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(one)
        changed["expr"] = re.sub(
            r"\[(\d+[smhd])\]",
            lambda found: f"[{max(5, seconds(found[1]) // FASTER)}s]",
            one["expr"],
        )
        if "for" in one:
            changed["for"] = f"{min(_LONGEST, seconds(one['for']) / FASTER):.0f}s"
        return changed

    groups = [{**group, "rules": list(map(rule, group["rules"]))} for group in rules["groups"]]
    return {"groups": groups}


@attrs.frozen
class Alert:
    """
    An alert that Prometheus has.

    @ivar isFiring: Whether it fires; otherwise its condition has not lasted long enough.
    """

    name: str
    labels: Mapping[str, str]
    isFiring: bool


class Prometheus:
    """
    The program, with a directory of its own.

    @ivar names: The names of all alerts, in the order of the file.
    """

    def __init__(self, node: Node, address: str, directory: Path) -> None:
        """
        @param address: The address of the node.
        @param directory: The directory for its files.
        """
        self._node = node
        self._address = address
        self._directory = directory
        rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
        self.names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
        self._rules = faster(rules)
        self._daemon = Daemon("prometheus", kept=50)
        self._isStarted = False

    def start(self, reactor: Any, targets: Mapping[str, str]) -> None:
        """
        Start it.

        @param targets: The address and port of each host, by its name.
        """
        own = self._directory
        own.mkdir()
        configuration = {
            "global": {
                "scrape_interval": f"{INTERVAL}s",
                "scrape_timeout": f"{INTERVAL}s",
                "evaluation_interval": f"{INTERVAL}s",
            },
            "rule_files": ["alerts.yml"],
            "scrape_configs": [
                {
                    "job_name": "txcarp",
                    "static_configs": [
                        {"targets": [where], "labels": {"instance": name}}
                        for name, where in targets.items()
                    ],
                }
            ],
        }
        # JSON is YAML.
        (own / "prometheus.yml").write_text(json.dumps(configuration))
        (own / "alerts.yml").write_text(json.dumps(self._rules))
        command = [
            "/usr/bin/prometheus",
            f"--config.file={own}/prometheus.yml",
            f"--storage.tsdb.path={own}/data",
            f"--web.listen-address={self._address}:{_PORT}",
        ]
        self._daemon.start(reactor, self._node, command, own, tied=True)
        self._isStarted = True

    def end(self) -> None:
        """
        End it.
        """
        if self._isStarted:
            self._daemon.signalAll(signal.SIGKILL)

    def _ask(self, path: str, **parameters: str) -> Any:
        """
        @raise OSError: If it does not answer.
        @raise ValueError: If it refuses the question.
        """
        connection = http.client.HTTPConnection(self._address, _PORT, timeout=10)
        connection.sock = self._node.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sock.settimeout(10)
        try:
            connection.sock.connect((self._address, _PORT))
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
            response = connection.getresponse()
            if response.status == 503:
                raise ConnectionError("Prometheus is not ready")
            answer = json.loads(response.read())
        finally:
            connection.close()
        if answer["status"] != "success":
            raise ValueError(f"{path} {parameters}: {answer['error']}")
        return answer["data"]

    def alerts(self) -> list[Alert]:
        """
        All alerts whose conditions are met now.
        """
        return [
            Alert(one["labels"]["alertname"], one["labels"], one["state"] == "firing")
            for one in self._ask("alerts")["alerts"]
        ]

    def query(self, expression: str) -> list[dict[str, str]]:
        """
        The labels of all values that an expression has now.
        """
        data = self._ask("query", query=expression)
        return [one["metric"] for one in data["result"]] if data["resultType"] == "vector" else []

    def history(self, expression: str, begin: float, end: float) -> list[dict[str, str]]:
        """
        The labels of all values that an expression had at any time.

        @param begin: Seconds since 1970.
        @raise ValueError: If it is no expression.
        """
        data = self._ask(
            "query_range", query=expression, start=str(begin), end=str(end), step=str(INTERVAL)
        )
        return [one["metric"] for one in data["result"]]

    def up(self) -> Sequence[str]:
        """
        The hosts that it has metrics of.
        """
        try:
            return [one["instance"] for one in self.query("up == 1")]
        except OSError:
            return []  # it has not started yet
