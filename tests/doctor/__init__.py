"""
Tests of the engine of C{txcarp doctor}.
"""
