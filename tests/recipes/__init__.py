"""
Runs of the recipes in C{docs/recipes.rst}, with the programs that they are about: the command
C{python -m tests.recipes}.

Each run takes the files from the document, starts two hosts with them, drives traffic from a
client, and demands what the recipe promises.  Cheap ones, which need no program but txcarp and
ucarp, are ordinary tests in L{tests.lab.test_recipes}.  L{tests.test_recipes} demands that no
recipe is without a run.

In reading order:

  - C{text}: the recipes and their files.
  - C{world}: what all runs have in common.
  - C{machine}: a host with a systemd of its own, and the units of the distribution.
  - C{clients}: who asks all the time.
  - C{runs}: the list of all runs.
  - C{proxy}, C{firewall}, C{database}, C{names}, C{sites}: the runs.
"""
