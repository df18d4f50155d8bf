"""
Tests of L{txcarp.conversion}.
"""
