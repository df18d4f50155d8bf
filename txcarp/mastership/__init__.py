"""
What a host does when it becomes master, and undoes when it ceases to be.

C{mastership} puts the steps of a virtual host together, and C{sequence} carries them out.
The steps are C{virtualmac}, C{leases} with C{renewal}, C{announcements}, C{scripts} and
C{services}.
"""
