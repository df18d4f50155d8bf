"""
The C{txcarp} command.

In reading order:

  - C{main}: finds out what a command line asks for.
  - C{run}: runs a virtual host, as C{twistd txcarp} does.
  - C{check}: the options of C{txcarp check}.
  - C{init}: C{txcarp init}.
  - C{observe}: the options of C{txcarp observe}.
  - C{doctor}: the options of C{txcarp doctor}.
  - C{convert}: the options of C{txcarp convert}.
  - C{demo}: the options of C{txcarp demo}.
  - C{forget}: C{txcarp forget}.
  - C{asking}: what the commands share that ask a running process.
  - C{status}: C{txcarp status}.
  - C{table}: its table.
  - C{watch}: C{txcarp status --watch}.
  - C{events}: C{txcarp events}.
  - C{explain}: C{txcarp explain}.
  - C{ismaster}: C{txcarp is-master}.
  - C{demotion}: C{txcarp demote} and C{txcarp promote}.
  - C{takeover}: C{txcarp takeover}.
  - C{drain}: C{txcarp drain} and C{txcarp resume}.
  - C{completion}: C{txcarp completion}.
  - C{grammar}: what can be written after C{txcarp}, as values.
  - C{shells}: the scripts for completion in shells.
  - C{reload}: C{txcarp reload}.
  - C{arguments}: the parser that the subcommands share.
  - C{examples}: an example of each command, for its help.
"""
