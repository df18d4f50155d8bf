"""
Tests for L{txcarp.membership}.
"""
