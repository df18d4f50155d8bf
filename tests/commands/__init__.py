"""
Tests for L{txcarp.commands}.
"""
