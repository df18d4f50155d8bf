"""
Links, addresses and routes of the Linux kernel over rtnetlink (rtnetlink(7)), and its TCP
connections over sock_diag(7).

In reading order:

  - C{format}: packs and parses the bytes of messages and attributes.
  - C{messages}: links and addresses as the kernel sends them.
  - C{requests}: what the kernel is asked.
  - C{routes}: the next hop of the default route.
  - C{sockdiag}: the TCP connections of this host, and requests to destroy them.
  - C{conversation}: matches answers to requests.
  - C{client}: a conversation on the reactor, and the kernel's events.
  - C{blocking}: a conversation that waits for each answer.
"""
