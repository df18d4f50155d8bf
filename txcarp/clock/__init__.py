"""
Time: a monotonic clock for any reactor, and the calls that it makes.
"""
