"""
Tests of whole groups: production objects on a simulated segment and clock.
"""
