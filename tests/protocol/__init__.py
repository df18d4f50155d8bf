"""
Tests for L{txcarp.protocol}.
"""
