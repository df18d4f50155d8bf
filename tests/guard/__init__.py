"""
Tests for L{txcarp.guard}.
"""
