"""
The alerts and the dashboard in C{examples}, tried with a real Prometheus.

C{python -m tests.alerts} makes a test network with real daemons, has the program C{prometheus} of
Debian ask them for their metrics, provokes the cause of each alert, and waits until that alert
fires, and until it ends after its cause is gone.

In reading order:

  - C{causes}: what each alert is about, done for real.
  - C{stage}: the network, the hosts, and what was seen of each alert.
  - C{hosts}: one host with its daemon.
  - C{prometheus}: the program, its rules with shorter times, and its answers.
  - C{panels}: the questions of the dashboard.
"""
