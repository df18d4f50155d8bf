"""
Tests for L{txcarp.status}.
"""
