"""Checks before a long run: the pictures, each network's preprocessing and labels, and the amount of work.

``python -m cnnviz.check CONFIG`` takes up to a minute and writes nothing. About two hundred labelled pictures go
through each network with the config's preprocessing, and some of them with others. The exit status is 1 if the config
is invalid or something is clearly wrong (✗). Doubts (!) are left to the reader.
"""
