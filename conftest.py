"""Settings of all tests and of the examples in docstrings."""

import gc

# Tracing a large graph, which is most of what tests of training do, makes millions of objects
# that live on: with Python's threshold of 700 looking for garbage among them takes up to half
# of the time.
gc.set_threshold(10_000, *gc.get_threshold()[1:])
