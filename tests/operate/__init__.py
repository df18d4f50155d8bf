"""
Tests for L{txcarp.operate}.
"""
