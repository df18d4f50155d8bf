"""
The C{txcarp} command and its subcommands.
"""
