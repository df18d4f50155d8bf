"""
Tests for L{txcarp.logs}.
"""
