"""
What one virtual host does as a member of its group: it listens, it speaks, it
stands for election, and it finds out what is wrong with the others.
"""
