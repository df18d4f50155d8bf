"""
All runs of recipes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType

from tests.lab import test_recipes
from tests.recipes import database, firewall, names, proxy, sites
from tests.recipes.world import RecipeTestCase

_MODULES = (proxy, firewall, database, names, sites, test_recipes)


def runs() -> list[type[RecipeTestCase]]:
    """
    The classes of all runs, each of one configuration file of a recipe.
    """
    return [run for module in _MODULES for run in _of(module)]


def _of(module: ModuleType) -> Iterator[type[RecipeTestCase]]:
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, RecipeTestCase) and hasattr(value, "title"):
            yield value
