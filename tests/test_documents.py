"""
What the documents for developers say of the code, and the fragments of the news.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.test_layers import LAYERS, sources

_ROOT = Path(txcarp.__file__).parent.parent

#: The documents whose literals are checked.
_DOCUMENTS = ("CONTRIBUTING.rst", "docs/architecture.rst")

#: Where chapters of the manual are named by their paths, and in which files.
_NAMING = (
    "*.rst",
    *(f"{place}/**/*" for place in ("docs", "examples", "newsfragments", "packaging")),
    *(f"{place}/**/*" for place in ("tests", "txcarp")),
)
_TEXTS = (".json", ".py", ".rst", ".service", ".tac", ".toml", ".yml", ".8")


def literals(text: str) -> Iterator[str]:
    """
    What stands in double backquotes, and looks like a path, a dotted name or a class.
    """
    for literal in re.findall(r"``([^`]+)``", text):
        if re.fullmatch(r"\.?[\w/.-]*(/|\.)[\w.-]+|[A-Z][A-Za-z0-9]*[a-z]\w*", literal):
            yield literal


def names(module: str, source: str) -> Iterator[str]:
    """
    What a module defines: C{module}, C{package.module}, C{module.function}, C{Class}, and
    C{Class.attribute}.
    """
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            yield f"{parts[-1]}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield node.name
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}"
                elif isinstance(inner, ast.Assign | ast.AnnAssign):
                    targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
                    for target in targets:
                        if isinstance(target, ast.Name):
                            yield f"{node.name}.{target.id}"


class DocumentTests(SynchronousTestCase):
    """
    Documents agree with the code.
    """

    def test_names(self) -> None:
        """
        Every path and every name that a document for developers quotes exists.
        """
        known = {name for module in sources().items() for name in names(*module)}
        for document in _DOCUMENTS:
            quoted = set(literals((_ROOT / document).read_text(encoding="utf-8")))
            missing = {
                name for name in quoted if name not in known and not (_ROOT / name).exists()
            }
            self.assertEqual(missing, set(), document)
            self.assertGreater(len(quoted), 10, document)

    def test_unknownNames(self) -> None:
        """
        A quoted name that does not exist is found.
        """
        text = "``txcarp/gone.py``, ``Participation.told``, ``Headr``, ``--help``, ``run it``"
        self.assertEqual(
            list(literals(text)), ["txcarp/gone.py", "Participation.told", "Headr"]
        )

    def test_chapters(self) -> None:
        """
        Wherever a chapter of the manual is named by its path, it exists.  Chapters do not name each
        other so: they have links.
        """
        named = 0
        for path in (path for place in _NAMING for path in sorted(_ROOT.glob(place))):
            inside = path.relative_to(_ROOT).parts
            if path.suffix not in _TEXTS or "html" in inside:
                continue
            text = path.read_text(encoding="utf-8")
            for chapter in re.findall(r"\bdocs/\w+\.(?:rst|py|8)\b", text):
                if not (inside[0] == "tests" and "nonsense" in chapter):
                    self.assertTrue((_ROOT / chapter).exists(), f"{path}: {chapter}")
                named += 1
            if inside[0] == "docs" and path.suffix == ".rst":
                self.assertNotIn("in the guide", " ".join(text.split()), path)
        self.assertGreater(named, 40)

    def test_layers(self) -> None:
        """
        The table of layers is the one that the imports are tested by.
        """
        text = (_ROOT / "docs" / "architecture.rst").read_text(encoding="utf-8")
        table = text.partition("\nlayer  rooms")[2].partition("\n\n")[0]
        layers: list[tuple[str, ...]] = []
        for line in table.splitlines()[2:-1]:
            rooms = tuple(re.findall("``(.+?)``", line[7:53]))
            if line[0].isdigit():
                layers.append(rooms)
            else:
                layers[-1] += rooms
        self.assertEqual(tuple(layers), LAYERS)

    def test_maps(self) -> None:
        """
        The docstring of each package has a line for each of its modules, and for nothing else.
        """
        modules = sources()
        packages = {name.rpartition(".")[0] for name in modules} - {""}
        for package in packages:
            listed = re.findall(r"(?m)^  - C\{(\w+)\}: .+\.$", modules[package].split('"""')[1])
            present = [name for name in modules if name.rpartition(".")[0] == package]
            self.assertEqual(
                sorted(f"{package}.{name}" for name in listed), sorted(present), package
            )


class NewsTests(SynchronousTestCase):
    """
    The fragments of the news.
    """

    def setUp(self) -> None:
        settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        self.types = [one["directory"] for one in settings["tool"]["towncrier"]["type"]]
        self.fragments = {
            path.name: path.read_text(encoding="utf-8")
            for path in (_ROOT / "newsfragments").iterdir()
            if path.name not in ("README.rst", "template.jinja")
        }

    def test_fragments(self) -> None:
        """
        Each has a known type and consists of whole sentences.
        """
        for name, text in self.fragments.items():
            self.assertRegex(name, rf"^[a-z0-9-]+\.({'|'.join(self.types)})\.rst$")
            self.assertRegex(text, r"^([A-Z]|``)(.|\n)+\.\n$", name)
            self.assertNotRegex(text, r"(?m)^.{101}", name)

    def test_draft(self) -> None:
        """
        towncrier makes news of them, without a network.
        """
        done = subprocess.run(
            [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in self.fragments.values():
            self.assertIn(text.splitlines()[0], done.stdout)
