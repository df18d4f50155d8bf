#!/bin/sh
# Run on becoming master: INTERFACE ADDRESS [XPARAM]
# XPARAM is the prefix length; without it the address stands alone.
exec ip address add "$2/${3:-32}" dev "$1"
