"""WHAT WOULD THEY SAY? Strict local stand-ins for the services that destinations tell, to rehearse a configuration.

Each is written from its service's published rules alone, shares no code with what sends, and refuses what the real one
refuses, with its statuses and bodies. They keep what arrives in memory, listen on loopback only, and know no network.
"""
