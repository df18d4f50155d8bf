"""
Tests for the public names: a program that embeds txcarp finds everything that it needs in the
package itself.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.interface import InterfaceClass

import txcarp
from txcarp import interfaces

_ROOT = Path(txcarp.__file__).parent


def own(tree: ast.AST) -> set[str]:
    """
    The names that a module imports from modules of txcarp.
    """
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("txcarp.")
        for alias in node.names
    }


def annotated(body: list[ast.stmt]) -> Iterator[str]:
    """
    The names in the annotations of public functions, methods and attributes.
    """
    for node in body:
        annotations: list[ast.expr | None] = []
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from annotated(node.body)
        elif isinstance(node, ast.FunctionDef) and (
            not node.name.startswith("_") or node.name == "__init__"
        ):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations = [node.returns, *(argument.annotation for argument in every)]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                annotations = [node.annotation]
        for annotation in filter(None, annotations):
            for part in ast.walk(annotation):
                if isinstance(part, ast.Name):
                    yield part.id


def raised(text: str) -> Iterator[str]:
    """
    The last part of the name of each exception that docstrings name.
    """
    for name in re.findall(r"@raise ([\w.]+):", text):
        yield name.rpartition(".")[2]


def manual() -> str:
    """
    The chapters of the manual that name what a program imports.
    """
    chapters = ("addresses", "checks", "python", "security", "service", "sets", "steps")
    return "".join(
        (_ROOT.parent / "docs" / f"{name}.rst").read_text(encoding="utf-8") for name in chapters
    )


class PublicTests(SynchronousTestCase):
    """
    What the modules of the public names mention.
    """

    def modules(self) -> set[str]:
        """
        The modules that have public names.
        """
        return {
            module
            for name in dir(txcarp)
            if (module := getattr(getattr(txcarp, name), "__module__", "")).startswith("txcarp.")
        }

    def definitions(self, module: str) -> list[tuple[ast.stmt, str]]:
        """
        The public classes and functions of a module, with their sources.
        """
        text = Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8")
        return [
            (node, ast.get_source_segment(text, node) or "")
            for node in ast.parse(text).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in dir(txcarp)
        ]

    def test_interfaces(self) -> None:
        """
        Every interface is public.
        """
        found = {
            name for name, it in vars(interfaces).items() if isinstance(it, InterfaceClass)
        } - {"Interface"}
        self.assertGreater(len(found), 15)
        self.assertEqual(found - set(dir(txcarp)), set())

    maxDiff = None

    def test_parameters(self) -> None:
        """
        The types of all parameters, results and attributes of public classes are public.
        """
        public = set(dir(txcarp))
        missing: dict[str, set[str]] = {}
        modules = self.modules()
        self.assertIn("txcarp.virtualhost", modules)
        for module in modules:
            body = [node for node, _ in self.definitions(module)]
            tree = ast.parse(Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8"))
            lacking = set(annotated(body)) & own(tree) - public
            if lacking:
                missing[module] = lacking
        self.assertEqual(missing, {})

    def test_exceptions(self) -> None:
        """
        Every exception that a public class, an interface or the manual names is public, or
        Python's own.
        """
        known = {*dir(txcarp), *dir(builtins)}
        names = {
            name
            for module in self.modules()
            for _, text in self.definitions(module)
            for name in raised(text)
        }
        self.assertIn("AlreadyRunning", names)
        self.assertEqual(names - known, set())
        quoted = set(re.findall(r"``(\w+(?:Error|Running))``", manual()))
        self.assertIn("OSError", quoted)
        self.assertEqual(quoted - known, set())

    def test_manual(self) -> None:
        """
        What the manual names with its module is public under its last name.
        """
        quoted = {
            name
            for name in re.findall(r"``txcarp\.([\w.]+)(?:\(\))?``", manual())
            if name not in ("testing", "service")  # the latter is a unit of systemd
        }
        self.assertEqual(sorted(name for name in quoted if name not in dir(txcarp)), [])
