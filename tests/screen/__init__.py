"""
Tests for L{txcarp.screen}.
"""
