"""
What is in the source distribution and in the wheel.
"""

from __future__ import annotations

import email
import re
import tarfile
import zipfile
from functools import cache
from pathlib import Path

from docutils.core import publish_string
from twisted.trial.unittest import SynchronousTestCase

from tests.package.distributions import ROOT, build, copyTree, sources
from txcarp import __version__

_DATA = f"txcarp-{__version__}.data/data/"


def names(pattern: str) -> set[str]:
    """
    The files of this directory that match a pattern, relative to it.
    """
    return {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.is_file()}


@cache
def made() -> tuple[Path, Path, Path]:
    """
    A copy of this directory, and the source distribution and the wheel that were made of it.
    """
    directory = Path("distributions").absolute()  # trial removes it before its next run
    tree = directory / "tree"
    copyTree(tree)
    return tree, build("sdist", tree, directory), build("wheel", tree, directory)


class DistributionTests(SynchronousTestCase):
    """
    Both are made of a copy of this directory.
    """

    def setUp(self) -> None:
        self.tree, self.archive, self.wheel = made()

    def files(self, wheel: Path) -> dict[str, bytes]:
        """
        The files in a wheel, by their names.
        """
        with zipfile.ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def test_source(self) -> None:
        """
        The source distribution has every file of the repository, but for those of git itself, and
        nothing else.
        """
        with tarfile.open(self.archive) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
        found = {member.name.partition("/")[2] for member in members}
        made = {name for name in found if name.startswith("txcarp.egg-info/")}
        self.assertEqual(found - made, {*sources(), "PKG-INFO", "setup.cfg"} - {".gitignore"})

    def test_wheel(self) -> None:
        """
        The wheel has all that is in the package, and nothing that would replace a module of another
        program.
        """
        found = {name for name in self.files(self.wheel) if not name.startswith("txcarp-")}
        expected = {name for name in sources() if name.startswith("txcarp/")}
        self.assertEqual(found, expected | {"twisted/plugins/txcarp_plugin.py"})

    def test_data(self) -> None:
        """
        The wheel has the documents, the examples, the units, the manual pages and the completions,
        where programs look for them.
        """
        found = {
            name.removeprefix(_DATA): content
            for name, content in self.files(self.wheel).items()
            if name.startswith(_DATA)
        }
        places = {
            "lib/systemd/system/": names("packaging/systemd/*"),
            "share/bash-completion/completions/": {"completions/txcarp"},
            "share/fish/vendor_completions.d/": {"completions/txcarp.fish"},
            "share/zsh/site-functions/": {"completions/_txcarp"},
            **{f"share/man/man{one}/": names(f"docs/man/*.{one}") for one in "158"},
            "share/doc/txcarp/": names("docs/*.rst") | {"LICENSE", "NEWS.rst", "README.rst"},
        }
        expected = {
            place + Path(name).name: name for place, files in places.items() for name in files
        }
        expected |= {f"share/doc/txcarp/{name}": name for name in names("examples/**/*")}
        self.assertEqual(sorted(found), sorted(expected))
        for place, name in expected.items():
            self.assertEqual(found[place], (ROOT / name).read_bytes())

    def test_update(self) -> None:
        """
        A wheel that is made where an older version was made has none of the modules that are gone
        since.  Nothing is left beside the sources.
        """
        old = self.tree / "txcarp" / "old.py"
        for isThere in (True, False):
            old.touch() if isThere else old.unlink()
            wheel = self.files(build("wheel", self.tree, self.tree.parent))
            self.assertEqual("txcarp/old.py" in wheel, isThere)
        self.assertFalse((self.tree / "build").exists())

    def test_metadata(self) -> None:
        """
        The description is the README, which an index of packages can show: docutils finds no fault
        in it, and needs no other file for it.
        """
        text = self.files(self.wheel)[f"txcarp-{__version__}.dist-info/METADATA"].decode()
        about = email.message_from_string(text)
        self.assertEqual(about["Version"], __version__)
        self.assertEqual(about["License"], "MIT")
        self.assertEqual(about["Description-Content-Type"], "text/x-rst")
        self.assertEqual(len(set(about.get_all("Classifier"))), len(about.get_all("Classifier")))
        readme = about.get_payload()
        self.assertEqual(readme.strip(), (ROOT / "README.rst").read_text(encoding="utf-8").strip())
        settings = {"file_insertion_enabled": False, "raw_enabled": False, "halt_level": 2}
        publish_string(readme, writer="html5", settings_overrides=settings)

    def test_version(self) -> None:
        """
        The news and the changelog of the Debian package begin with this version.
        """
        news = (ROOT / "NEWS.rst").read_text(encoding="utf-8")
        changelog = (ROOT / "packaging" / "debian" / "changelog").read_text(encoding="utf-8")
        self.assertEqual(re.findall(r"(?m)^(\d[\w.]*)\n---", news)[0], __version__)
        self.assertRegex(changelog, rf"^txcarp \({re.escape(__version__)}-\d+\) ")
