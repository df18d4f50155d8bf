#!/bin/sh
# Run on becoming backup: INTERFACE ADDRESS [XPARAM]
# It also runs at start, when there is nothing to remove.
ip address delete "$2/${3:-32}" dev "$1" 2>/dev/null || true
