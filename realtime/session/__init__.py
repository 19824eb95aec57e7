"""What plays now, and who may change it: one frozen state, edits, undo, and the thread that keeps matching.

- `session.Session`: the state of a running afx-live; all that clients do goes through it;
  `file_session.FileSession` is one on a recording
- `state.SessionState`: the one frozen value that everybody reads
- `controls`: what can be read and set, by name, for clients that speak OSC, JSON or keys
- `autosave.Autosave`: the state in a file, for `--resume`

Nothing is imported here, so that `--help` stays quick: import from the files.
"""
