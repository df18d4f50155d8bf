"""
Tests of L{txcarp.demo}.
"""
