"""
Make the Debian package in a fresh Debian 13, and try it in another one; then try the wheel in a
fresh Debian 12: C{python -m tests.package}.

The systems are made by C{mmdebstrap}, which needs a mirror of Debian, and either root or the right
to make user namespaces.  Pip needs PyPI.  Nothing of this machine is changed, and nothing remains
but the packages, in the directory that C{--keep} names.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.package.distributions import build, copyTree
from txcarp import __version__

#: Makes the packages of what is in C{/try}, and looks for mistakes in them.  They are not for
#: Debian's own archive, so that no bug of Debian asks for them.
_BUILD = f"""
cd /try
mv txcarp-{__version__}.tar.gz result/txcarp_{__version__}.orig.tar.gz
cd result
tar -xf txcarp_{__version__}.orig.tar.gz
cp -a txcarp-{__version__}/packaging/debian txcarp-{__version__}/
apt-get --quiet --yes build-dep ./txcarp-{__version__}
(cd txcarp-{__version__} && dpkg-buildpackage --no-sign)
rm -r txcarp-{__version__}
lintian --allow-root --info --fail-on error,warning \
    --suppress-tags initial-upload-closes-no-bugs *.changes
"""

#: Tries the packages in C{/try}, and looks for what remains of them.  First, they come and go, so
#: that what they depend on is there before and after.
_TRY = """
files() {
    find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /try \\
        -o -path /tmp -o -name '*ucarp*' -o -path /var/lib/dpkg -o -path /var/lib/apt \\
        -o -path /var/cache -o -path /var/log \\
        -o -name __pycache__ -o -name dropin.cache \\) -prune \\
        -o -printf '%p %y %m %u %g %l\\n' | sort
}
cd /try
apt-get --quiet --yes --no-install-recommends install ./*.deb
apt-get --quiet --yes purge txcarp python3-txcarp txcarp-doc
files > /tmp/before

apt-get --quiet --yes --no-install-recommends install ./*.deb
for path in man/man8/txcarp.8.gz man/man5/txcarp.toml.5.gz man/man1/txcarp-status.1.gz \\
    bash-completion/completions/txcarp zsh/vendor-completions/_txcarp \\
    fish/vendor_completions.d/txcarp.fish doc/txcarp/README.Debian doc/txcarp/html/index.html \\
    doc/txcarp/examples/txcarp.toml doc/python3-txcarp/examples/two-addresses.tac
do
    test -e /usr/share/$path
done
systemd-analyze verify txcarp.service txcarp@web.service
twistd3 --help | grep txcarp
txcarp --version
txcarp demo --once
sh -x debian/tests/failover
sh -x debian/tests/ifupdown
apt-get --quiet --yes remove ucarp
sh -x debian/tests/ifupdown
mkdir -p /etc/txcarp /var/lib/txcarp
touch /etc/txcarp/password /var/lib/txcarp/txcarp.json

apt-get --quiet --yes purge txcarp python3-txcarp txcarp-doc
files > /tmp/after
diff /tmp/before /tmp/after
"""

#: Tries the wheel in C{/try}, in a virtual environment.
_TRY_WHEEL = """
python3 -m venv /opt/txcarp
/opt/txcarp/bin/pip install --no-index --find-links /try txcarp
export PATH=/opt/txcarp/bin:$PATH
pip list
twistd --help | grep txcarp
txcarp --version
txcarp demo --once
sh -x /try/debian/tests/failover
"""


def system(suite: str, packages: str, work: Path, script: str) -> None:
    """
    Run a shell script in a fresh system.

    @param suite: The release of Debian.
    @param packages: What it has besides Debian's essential packages, separated by commas.
    @param work: A directory that is copied to C{/try} there.  What the script leaves in
        C{/try/result} is in its C{result} afterwards.
    @raise subprocess.CalledProcessError: If a command of the script fails.
    """
    (work / "result").mkdir()
    (work / "script").write_text(f"set -eux\nexport DEBIAN_FRONTEND=noninteractive\n{script}")
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--format=null"),
            f"--include={packages}",
            '--customize-hook=mkdir "$1/try"',
            f"--customize-hook=sync-in {work} /try",
            '--customize-hook=chroot "$1" sh /try/script',
            f"--customize-hook=sync-out /try/result {work / 'result'}",
            *(suite, "-"),
        ],
        stdin=subprocess.DEVNULL,
        check=True,
    )


def download(directory: Path) -> None:
    """
    Download what the wheel in a directory needs in Debian 12.

    @raise subprocess.CalledProcessError: If that fails.
    """
    platforms = [f"--platform=manylinux{one}_{os.uname().machine}" for one in ("2014", "_2_28")]
    wheels = ("--only-binary=:all:", "--python-version=3.11", f"--dest={directory}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", *platforms, *wheels]
    subprocess.run([*command, *map(str, directory.glob("txcarp-*.whl"))], check=True)


def stage(title: str) -> None:
    """
    Say what begins.
    """
    print(f"=== {time.strftime('%H:%M:%S')} {title}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """
    Make and try everything.

    @return: The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.package", description=__doc__)
    parser.add_argument("--keep", metavar="DIRECTORY", type=Path, help="keep the packages here")
    keep = parser.parse_args(arguments).keep
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)  # mmdebstrap may become another user
        sources, building, trying, venv = (base / one for one in ("tree", "build", "try", "venv"))
        copyTree(sources)
        stage("source distribution and wheel")
        build("sdist", sources, building)
        build("wheel", sources, venv)
        try:
            stage("Debian 13: building the package")
            system("trixie", "build-essential,fakeroot,lintian", building, _BUILD)
            packages = building / "result"
            shutil.copytree(packages, trying)
            shutil.copytree(sources / "packaging" / "debian", trying / "debian")
            stage("Debian 13: trying the package")
            system("trixie", "ifupdown,iproute2,man-db,nftables,systemd,ucarp", trying, _TRY)
            shutil.copytree(sources / "packaging" / "debian", venv / "debian")
            stage("Debian 12: trying the wheel")
            download(venv)
            tools = "iproute2,nftables,procps,python3-venv"
            system("bookworm", tools, venv, _TRY_WHEEL)
        except subprocess.CalledProcessError as error:
            stage(f"failed: {error}")
            return 1
        if keep is not None:
            shutil.copytree(packages, keep, dirs_exist_ok=True)
    stage("done")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
