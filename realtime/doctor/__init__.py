"""What `afx-live doctor` measures: the system, drop-outs by block size, the round trip through a cable."""
