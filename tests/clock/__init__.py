"""
Tests for L{txcarp.clock}.
"""
