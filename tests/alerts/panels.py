"""
The questions of the dashboard.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.alerts.prometheus import DASHBOARD, Prometheus

#: What Grafana would put in place of its variables.
_VARIABLES = {"$job": ".*", "$group": ".*", "$__rate_interval": "10s"}


def _questions() -> Iterator[tuple[str, str, str]]:
    """
    Yield the title of each panel, an expression, and what names its values.
    """
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target.get("legendFormat", "")
    for one in dashboard["annotations"]["list"]:
        yield one["name"], one["expr"], one["titleFormat"]


def ask(prometheus: Prometheus, begin: float, end: float) -> list[str]:
    """
    Ask Prometheus what each panel asks.

    @param begin: The beginning of the time that the panels show, in seconds since 1970.
    @return: What is wrong: questions that are refused, or have no answer in all of that time, or
        whose values have no such label or the same name as another one.
    """
    wrong = []
    for title, expression, legend in _questions():
        for variable, value in _VARIABLES.items():
            expression = expression.replace(variable, value)
        try:
            found = prometheus.history(expression, begin, end)
        except ValueError as error:
            wrong.append(f"{title}: {error}")
            continue
        if not found:
            wrong.append(f"{title}: no data: {expression}")
        wrong += [f"{title}: {one}" for one in badNames(found, legend)]
    return wrong


def badNames(found: list[dict[str, str]], legend: str) -> Iterator[str]:
    """
    Yield what is wrong with the names of values.

    @param found: Their labels.
    @param legend: What Grafana makes their names of; empty in a table.
    """
    names: dict[str, Any] = {}
    for labels in found:
        words = re.findall(r"\{\{(\w+)\}\}", legend)
        if missing := [word for word in words if word not in labels]:
            yield f"{legend} asks for {missing[0]}, which {labels} has not"
            return
        name = re.sub(r"\{\{(\w+)\}\}", lambda one, labels=labels: labels[one[1]], legend)
        if legend and names.setdefault(name, labels) != labels:
            yield f"{name} is the name of {labels} and of {names[name]}"
            return
