"""
Tests for L{txcarp.configuration}.
"""
