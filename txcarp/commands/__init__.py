"""
The C{txcarp} command.  L{main<txcarp.commands.main>} finds out what is asked for, and
L{run<txcarp.commands.run>} runs a virtual host.
"""
