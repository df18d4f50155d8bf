"""
The process around the service.  L{program<txcarp.daemon.program>} has its options, services and
logs, L{signals<txcarp.daemon.signals>} what signals do,
L{precautions<txcarp.daemon.precautions>} warnings at the start,
L{scheduling<txcarp.daemon.scheduling>} what keeps it on time, and
L{secrecy<txcarp.daemon.secrecy>} what hides passwords.
"""
