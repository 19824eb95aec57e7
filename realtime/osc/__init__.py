"""OSC: the session's controls and meters as addresses, for any program that speaks it.

- `server.OscServer`: listens on a UDP port and steers a session
- `addresses`: every address; no other file spells their root
- `packets`: datagrams, checked and decoded in one pass, and written
- `layouts`: files for REAPER and Open Stage Control

Nothing is imported here, so that `--help` stays quick: import from the files.
"""

HOST, PORT = "127.0.0.1", 9123
"""Where OSC is received unless told otherwise."""
