"""
Tests for L{txcarp.mastership}.
"""
