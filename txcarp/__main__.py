"""
C{python -m txcarp}: the C{txcarp} command.
"""

from txcarp.commands.main import main

main()
