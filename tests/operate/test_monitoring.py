"""
The alerts and the dashboard in C{examples} fit the metrics.

C{promtool} checks them as well where it is installed (C{apt install prometheus}).
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.alerts.causes import SCENES
from tests.alerts.panels import badNames
from tests.alerts.prometheus import faster
from tests.operate.test_metrics import whole
from tests.optional import needing
from txcarp.operate import exposition
from txcarp.operate.groupmetrics import GROUP_METRICS
from txcarp.operate.processmetrics import PROCESS_METRICS

_ROOT = Path(txcarp.__file__).parent.parent
_ALERTS = _ROOT / "examples" / "prometheus" / "alerts.yml"
_ALERT_TESTS = _ALERTS.with_name("alerts_test.yml")
_DASHBOARD = _ROOT / "examples" / "grafana" / "txcarp.json"

#: Labels that Prometheus itself adds.
_ADDED = {"job", "instance"}

#: Labels with names and addresses that the configuration chooses.
_CHOSEN = {"group", "interface", "vhid", "check", "master", "step", "set"}


def expressions(node: Any) -> Iterator[str]:
    """
    The PromQL expressions in a dashboard.
    """
    if isinstance(node, list):
        for one in node:
            yield from expressions(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "definition") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)


def selections(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """
    The metrics in an expression, each with its conditions: label, operator and value.
    """
    for name, conditions in re.findall(r"\b((?:txcarp|process)_\w+|up\b)(\{[^}]*\})?", expression):
        yield name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', conditions)


class MonitoringTests(SynchronousTestCase):
    """
    Whatever is asked for exists.
    """

    def setUp(self) -> None:
        alerts = yaml.safe_load(_ALERTS.read_text(encoding="utf-8"))
        self.rules = [rule for group in alerts["groups"] for rule in group["rules"]]
        self.dashboard = json.loads(_DASHBOARD.read_text(encoding="utf-8"))
        self.samples: dict[str, list[dict[str, str]]] = {"up": [{}]}
        for samples in whole().values():
            for one in samples:
                self.samples.setdefault(one.name, []).append(one.labels)
        for name in re.findall(rb"# TYPE (\w+)", exposition.ofKernel()):
            self.samples[name.decode()] = [{}]

    def fits(self, expression: str) -> int:
        """
        Check that each metric in an expression exists, with the labels and their values.

        @return: The number of metrics.
        """
        found = list(selections(expression))
        for name, conditions in found:
            self.assertIn(name, self.samples, expression)
            for label, operator, value in conditions:
                if label in _ADDED:
                    continue
                known = {labels[label] for labels in self.samples[name] if label in labels}
                self.assertTrue(known, expression)
                if label in _CHOSEN:
                    continue
                wanted = value.split("|") if operator == "=~" else [value]
                self.assertEqual(set(wanted) - known, set(), expression)
        return len(found)

    def test_alerts(self) -> None:
        """
        Each alert asks for metrics that exist, and says what to do about it.
        """
        self.assertGreater(len(self.rules), 10)
        for rule in self.rules:
            self.assertGreater(self.fits(rule["expr"]), 0, rule["alert"])
            self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
            self.assertEqual(set(rule["annotations"]), {"summary", "description"})
            for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
                found = {one for labels in self.samples.values() for each in labels for one in each}
                self.assertIn(label, found | _ADDED)

    def test_alertTests(self) -> None:
        """
        Each alert has a test.
        """
        tests = yaml.safe_load(_ALERT_TESTS.read_text(encoding="utf-8"))["tests"]
        self.assertEqual([one["name"] for one in tests], [one["alert"] for one in self.rules])
        for one in tests:
            for series in one["input_series"]:
                self.fits(series["series"])

    def test_dashboard(self) -> None:
        """
        Each panel asks for metrics that exist, has a title and a description, and hides no other.
        """
        for expression in expressions(self.dashboard):
            self.assertGreater(self.fits(expression), 0, expression)
        taken: set[tuple[int, int]] = set()
        for panel in self.dashboard["panels"]:
            self.assertTrue(panel["title"] and panel["description"])
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            self.assertEqual(taken & cells, set(), panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= cells


class ProvokedTests(SynchronousTestCase):
    """
    C{python -m tests.alerts} provokes all of them.
    """

    def setUp(self) -> None:
        self.rules = yaml.safe_load(_ALERTS.read_text(encoding="utf-8"))

    def test_scenes(self) -> None:
        """
        Each alert has a cause in one scene.
        """
        names = [rule["alert"] for group in self.rules["groups"] for rule in group["rules"]]
        provoked = [alert for scene in SCENES.values() for alert in scene.alerts]
        self.assertEqual(sorted(provoked), sorted(names))

    def test_faster(self) -> None:
        """
        Only the times of the rules are changed: to a 30th, within limits.
        """
        [group] = self.rules["groups"]
        [changed] = faster(self.rules)["groups"]
        for before, after in zip(group["rules"], changed["rules"], strict=True):
            times = re.findall(r"\[(\w+)\]", after["expr"])
            self.assertLessEqual(set(times), {"10s", "20s", "30s"}, after["alert"])
            self.assertLessEqual(set(after.get("for", "5s")), set("245s"))
            self.assertEqual(
                re.sub(r"\[\w+\]", "", after["expr"]), re.sub(r"\[\w+\]", "", before["expr"])
            )
            for key in ("expr", "for"):
                before.pop(key, None), after.pop(key, None)
            self.assertEqual(before, after)


    def test_names(self) -> None:
        """
        A panel is wrong that asks for a label that its values have not, or gives two the same name.
        """
        found = [{"group": "web", "instance": "a"}, {"group": "web", "instance": "b"}]
        self.assertEqual(list(badNames(found, "{{group}} on {{instance}}")), [])
        self.assertEqual(list(badNames(found, "")), [])
        [missing] = badNames(found, "{{peer}}")
        self.assertIn("asks for peer", missing)
        [same] = badNames(found, "{{group}}")
        self.assertIn("web is the name of", same)


@needing("promtool")
class PromtoolTests(SynchronousTestCase):
    """
    What C{promtool} says.
    """

    def promtool(self, *arguments: str, given: bytes = b"") -> None:
        """
        Run it.
        """
        done = subprocess.run(
            ["promtool", *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=_ALERTS.parent,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout.decode())

    def test_rules(self) -> None:
        """
        The alerts are rules.
        """
        self.promtool("check", "rules", _ALERTS.name)

    def test_fire(self) -> None:
        """
        Each alert fires when it should, and not before.
        """
        self.promtool("test", "rules", _ALERT_TESTS.name)

    def test_panels(self) -> None:
        """
        What the dashboard asks for is PromQL.
        """
        dashboard = json.loads(_DASHBOARD.read_text(encoding="utf-8"))
        rules = [
            {"record": f"x{number}", "expr": one.replace("$__rate_interval", "5m")}
            for number, one in enumerate(expressions(dashboard))
            if not one.startswith("label_values")
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "x", "rules": rules}]}, file)
            file.flush()
            self.promtool("check", "rules", file.name)

    def test_metrics(self) -> None:
        """
        Names, kinds and meanings of the metrics are as Prometheus wants them.
        """
        process = exposition.Process(0, {}, None, None)
        pieces = [exposition.ofGroups(one, [], True) for one in GROUP_METRICS]
        pieces += [exposition.ofProcess(one, process) for one in PROCESS_METRICS]
        self.promtool("check", "metrics", given=b"".join(pieces))
