"""
Tests of L{txcarp.observer}.
"""
