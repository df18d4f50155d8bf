"""
The layers of txcarp: imports lead only to lower layers, and never in a circle.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp

#: The layers from the lowest to the highest, each with its modules and packages.  A module may
#: import modules of its own package, and of lower layers.
LAYERS = (
    ("txcarp.companion", "txcarp.guard.sentry", "txcarp.links", "txcarp.plugins"),
    ("txcarp.protocol",),
    ("txcarp.addresses", "txcarp.bequest", "txcarp.change", "txcarp.findings"),
    ("txcarp.occurrences",),
    ("txcarp.status",),
    ("txcarp.interfaces",),
    ("txcarp.configuration.places", "txcarp.configuration.values"),
    ("txcarp.configuration.steps",),
    ("txcarp.checks.verdict",),
    ("txcarp.checks.health",),
    ("txcarp.configuration.model",),
    ("txcarp.configuration.settings",),
    ("txcarp.configuration.difference",),
    ("txcarp.clock", "txcarp.logs", "txcarp.socketreader", "txcarp.state"),
    ("txcarp.guard", "txcarp.netlink"),
    ("txcarp.network",),
    ("txcarp.checks",),
    ("txcarp.mastership",),
    ("txcarp.membership",),
    ("txcarp.sets",),
    ("txcarp.virtualhost", "txcarp.platform"),
    ("txcarp.service",),
    ("txcarp.testing",),
    ("txcarp.configuration",),
    ("txcarp.operate",),
    ("txcarp.daemon", "txcarp.screen", "txcarp.testbed"),
    ("txcarp.observer",),
    ("txcarp.conversion", "txcarp.demo", "txcarp.doctor", "txcarp.setup"),
    ("txcarp.commands",),
    ("txcarp.__main__",),
    ("txcarp",),
)

#: The names that any module may import from the package itself.
_CONSTANTS = {"__version__"}

_ROOT = Path(txcarp.__file__).parent


def sources() -> dict[str, str]:
    """
    Return the source of every module by its name.
    """
    found = {}
    for path in _ROOT.rglob("*.py"):
        parts = ("txcarp", *path.relative_to(_ROOT).with_suffix("").parts)
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = path.read_text(encoding="utf-8")
    return found


def imports(name: str, source: str, modules: Mapping[str, str]) -> Iterator[str]:
    """
    Yield the modules of this program that a module imports, anywhere in its source.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    yield whole
                elif alias.name not in _CONSTANTS:
                    yield node.module


def layer(name: str) -> tuple[int, str]:
    """
    Return the number of a module's layer, and its entry there: the longest one that matches.
    """
    fitting = [
        (entry, number)
        for number, entries in enumerate(LAYERS)
        for entry in entries
        if f"{name}.".startswith(f"{entry}.")
    ]
    entry, number = max(fitting, key=lambda found: len(found[0]))
    return number, entry


def violations(modules: Mapping[str, str]) -> list[str]:
    """
    Return the imports that the layers forbid.
    """
    wrong = []
    for name, source in modules.items():
        own, room = layer(name)
        for imported in imports(name, source, modules):
            theirs, entry = layer(imported)
            if entry != room and theirs >= own:
                wrong.append(f"{name} imports {imported}")
    return sorted(set(wrong))


def circles(modules: Mapping[str, str]) -> list[list[str]]:
    """
    Return modules that import each other, directly or indirectly.
    """
    graph = {name: set(imports(name, text, modules)) - {name} for name, text in modules.items()}
    while True:
        leaves = {name for name, imported in graph.items() if not imported & graph.keys()}
        if not leaves:
            break
        for name in leaves:
            del graph[name]
    # The remaining modules are in a circle, or import one that is.
    return [sorted(graph)] if graph else []


class LayerTests(SynchronousTestCase):
    """
    Which module may import which.
    """

    def test_downOnly(self) -> None:
        """
        No module imports one of a higher layer, or of another package in its own layer.
        """
        self.assertEqual(violations(sources()), [])

    def test_noCircle(self) -> None:
        """
        No modules import each other.
        """
        self.assertEqual(circles(sources()), [])

    def test_planted(self) -> None:
        """
        A forbidden import is found anywhere in a module.
        """
        good = sources()
        for name, line in (
            ("txcarp.protocol.timing", "from txcarp.addresses import textOf"),
            ("txcarp.interfaces", "from txcarp.mastership.leases import AddressLeases"),
            ("txcarp.membership.holds", "from txcarp.virtualhost import VirtualHost"),
            ("txcarp.network.linux", "def late():\n    import txcarp.mastership.scripts"),
            ("txcarp.observer.group", "from txcarp.demo import hosts"),
            ("txcarp.links", "from txcarp import CARPService"),
        ):
            found = violations({**good, name: f"{good[name]}\n{line}\n"})
            self.assertEqual(len(found), 1, line)
            self.assertTrue(found[0].startswith(name), found)

    def test_plantedCircle(self) -> None:
        """
        Two modules of one package that import each other are found.
        """
        good = sources()
        line = "from txcarp.protocol.election import Standing"
        planted = {**good, "txcarp.protocol.timing": f"{good['txcarp.protocol.timing']}\n{line}\n"}
        self.assertEqual(violations(planted), [])
        [circle] = circles(planted)
        self.assertIn("txcarp.protocol.timing", circle)

    def test_everyModuleHasALayer(self) -> None:
        """
        Each entry of the table exists, and only the package itself is in the last layer.
        """
        modules = sources()
        for entries in LAYERS:
            for entry in entries:
                self.assertIn(entry, modules)
        top = [name for name in modules if layer(name)[1] == "txcarp"]
        self.assertEqual(top, ["txcarp"])

    def test_protocolAlone(self) -> None:
        """
        The protocol package does not load Twisted.
        """
        code = (
            "import pkgutil, sys, txcarp.protocol\n"
            "for module in pkgutil.iter_modules(txcarp.protocol.__path__):\n"
            "    __import__('txcarp.protocol.' + module.name)\n"
            "print([name for name in sys.modules if name.split('.')[0] == 'twisted'])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.strip(), "[]")

    def test_publicNames(self) -> None:
        """
        The package has exactly its public names.
        """
        for name in dir(txcarp):
            self.assertIsNotNone(getattr(txcarp, name), name)
        declared = re.findall(r"import (\w+) as \1\n", Path(txcarp.__file__).read_text())
        self.assertEqual(dir(txcarp), sorted(["__version__", *declared]))
        with self.assertRaises(AttributeError) as raised:
            txcarp.VirtualHots  # type: ignore[attr-defined]  # noqa: B018
        self.assertIn("VirtualHots", str(raised.exception))

    def test_installed(self) -> None:
        """
        Each package is installed, and so is in the list of C{setup.cfg}.
        """
        settings = ConfigParser()
        settings.read(_ROOT.parent / "setup.cfg")
        found = {
            ".".join(("txcarp", *path.parent.relative_to(_ROOT).parts))
            for path in _ROOT.rglob("__init__.py")
        }
        listed = settings["options"]["packages"].split()
        self.assertEqual(found | {"twisted.plugins"}, set(listed))
