"""
Tests of L{txcarp.testbed}.
"""
