"""
The packages: C{python -m tests.package} makes them, and tries them in fresh systems.
"""
