"""
Measurements beside other programs, each a command that prints a table.
"""
