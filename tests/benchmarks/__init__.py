"""
Tests for the benchmarks: what they conclude from what they measured.
"""
