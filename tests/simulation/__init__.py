"""
Whole groups of production objects on a fake segment and a fake clock.
"""
