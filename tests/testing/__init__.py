"""
Tests for L{txcarp.testing}.
"""
