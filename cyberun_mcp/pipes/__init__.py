"""The stdin and stdout of this process, as the server, its fast start and the bridge use them.

`claim` takes the two descriptors and imports next to nothing; `reader` and `writer` serve them from an event loop.
"""
