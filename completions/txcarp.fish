# Completion of txcarp for fish.  The command itself knows what can be written.
txcarp completion fish 2>/dev/null | source
