"""
Tests for L{txcarp.setup}.
"""
