"""
The process around the service: its start, signals, scheduling and secrets.
"""
