"""Before a long run: what was read, is each network fed and labelled rightly, and how much work is it?

``python -m cnnviz.check CONFIG`` takes up to a minute and writes nothing. Some two hundred labelled pictures go through
each network as the config has it, and some of them in other ways. Exit status 1 where the config is invalid or
something is clearly wrong (✗); doubts (!) are for the reader.
"""
