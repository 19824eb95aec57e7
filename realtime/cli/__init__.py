"""The command line: `main.main` is `afx-live`; each command is a function of its own name in a file of its own name.

They take plain arguments and return an exit code, so a program can call them, too:
`from afx_live.realtime.cli.render import render`.
"""
