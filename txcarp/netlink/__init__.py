"""
Links, addresses and routes of the Linux kernel over rtnetlink (rtnetlink(7)).

L{format<txcarp.netlink.format>} packs and parses bytes; L{messages<txcarp.netlink.messages>}
are what the kernel sends, L{requests<txcarp.netlink.requests>} what it is asked.
L{conversation<txcarp.netlink.conversation>} matches answers to requests, for the
L{client<txcarp.netlink.client>} on the reactor; L{blocking<txcarp.netlink.blocking>} waits
for each answer.
"""
