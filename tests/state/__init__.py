"""
Tests for L{txcarp.state}.
"""
