"""The page: a server that is a process of its own, and what it shows of a session."""

HOST, PORT = "127.0.0.1", 8765
"""Where the page is served unless told otherwise."""
