"""
Tests of L{txcarp.mastership}.
"""
