"""
What a host does when it becomes master, and undoes when it ceases to be.

In reading order:

  - C{mastership}: the list of the steps.
  - C{handover}: the hand-over to a successor.
  - C{sequence}: acquires the steps in order, and releases them in reverse order.
  - C{virtualmac}: the step that makes the interface with the virtual MAC address.
  - C{leases}: the step that adds the addresses, on lease.
  - C{resets}: the step that ends the TCP connections of addresses that leave.
  - C{renewal}: when a lease is renewed.
  - C{announcements}: the step that tells the neighbours.
  - C{scripts}: the step that runs the up and down scripts.
  - C{alongside}: has the addresses not wait for these scripts.
  - C{configured}: the steps that the configuration names, which run commands and units.
  - C{services}: a step that runs a Twisted service.
"""
