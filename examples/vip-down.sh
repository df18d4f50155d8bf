#!/bin/sh
# Runs when this host becomes backup: vip-down.sh INTERFACE ADDRESS [XPARAM]
# It also runs at the start, when there may be no address to remove.
ip address delete "$2/${3:-32}" dev "$1" 2>/dev/null || true
