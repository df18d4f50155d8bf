"""
What an administrator asks for: the model of a virtual host, and ucarp's command line.
"""
