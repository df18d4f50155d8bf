"""
What an administrator asks for.

In reading order:

  - C{model}: the settings of a virtual host, and which contradict each other.
  - C{places}: where the files of a running txcarp are.
  - C{values}: reads and checks the value of each setting.
  - C{steps}: the settings of a step.
  - C{settings}: the table of the keys of the configuration file.
  - C{passwords}: reads passwords in files.
  - C{options}: the table of the command line's options, their grammar, and C{--help}.
  - C{request}: what a command line or a file asks for.
  - C{ucarp}: what the options mean for the model.
  - C{difference}: what a change of the configuration does.
  - C{checks}: the keys of a health check, and how they are read.
  - C{stepkeys}: the keys of a step, and how they are read.
  - C{sets}: sets of groups in the file, and how they are read.
  - C{kinds}: how the values of the keys are read.
  - C{positions}: where the keys of a file are.
  - C{problems}: what is wrong with a file, and where.
  - C{file}: reads the configuration file.
"""
