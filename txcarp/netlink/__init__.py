"""
A conversation with the Linux kernel about links, addresses and routes (rtnetlink).
"""
