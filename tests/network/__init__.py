"""
Tests of L{txcarp.network}.
"""
