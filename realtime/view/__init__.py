"""What a running afx-live shows: the status file and its readers, the terminal view, keys, and console lines.

The format of the status file is docs/status_file.md. Nothing is imported here: the view starts without the compiler.
"""
