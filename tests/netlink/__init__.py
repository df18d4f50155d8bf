"""
Tests for L{txcarp.netlink}.
"""
