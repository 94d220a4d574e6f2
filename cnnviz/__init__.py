"""cnnviz: turns trained convolutional networks into a static HTML gallery."""

import atexit
import gc

__version__ = "0.1.0"

# Libraries make 200 000 objects that live as long as the process. Python's garbage collector would walk over them again
# and again while they are made, and once more at the end: a quarter of the time of a short job.
gc.set_threshold(50_000)
atexit.register(gc.freeze)
