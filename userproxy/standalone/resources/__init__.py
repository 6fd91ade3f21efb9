"""The kinds of the standalone API server: one module for each, with its shape, its defaults and its validation.

Nothing here knows HTTP or the store. What a kind is called and which behaviour it has is in `standalone.kinds`.
"""
