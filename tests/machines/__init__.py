"""
Tests on whole machines: a fresh Debian with its own systemd, containers, hosts that Ansible sets
up.  They take minutes, need root and Debian packages, and are no part of the ordinary tests::

    python -m tests.machines --help

In reading order:

  - C{roots}: fresh Debian roots, and txcarp in them.
  - C{machine}: a root that is booted by systemd, on a node of a test network.
  - C{units}: the units of C{packaging/systemd} under a real systemd.
  - C{deaths}: what a client notices when a daemon dies, for each C{KillMode}.
  - C{newcomer}: somebody sets up a pair for the first time.
  - C{playbook}: the role of C{examples/ansible}.
  - C{containers}: the image and the Compose file of C{packaging/container}.
"""
