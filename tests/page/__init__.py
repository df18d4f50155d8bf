"""
The page for browsers in a real browser, with real daemons: C{python -m tests.page}.

In reading order:

  - C{__main__}: the command.
  - C{story}: what is tried, and looked at.
  - C{hosts}: two hosts with groups, and a client with a browser.
  - C{browser}: Chromium, steered by WebDriver.
"""
