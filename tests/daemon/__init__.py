"""
Tests for L{txcarp.daemon}.
"""
