"""
The edge to the kernel.  Linux; behind the interfaces of L{txcarp.interfaces},
so that another system is another package.
"""
