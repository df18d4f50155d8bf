"""
What a host does when it becomes, and when it ceases to be, master.
"""
