#!/bin/sh
# Runs when this host becomes master: vip-up.sh INTERFACE ADDRESS [XPARAM]
# XPARAM is the prefix length. The default is 32, an address without a network.
exec ip address add "$2/${3:-32}" dev "$1"
