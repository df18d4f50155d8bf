"""
The plugins of other programs, which Twisted's plugin system finds (C{twisted.plugin}).

A program that has health checks for the configuration file installs a module with a
L{CheckPlugin<txcarp.checks.plugins.CheckPlugin>} as C{txcarp/plugins/ITS_NAME.py}, in any directory
where Python looks for modules, and without a C{txcarp/plugins/__init__.py}.
"""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))

#: Nothing is imported from this package itself.
__all__: list[str] = []
