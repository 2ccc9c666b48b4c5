"""What the driver and the worker agree on: records, keys and the layout of an object.

Decides names and bytes, and nothing else: no I/O, no clock, no pickling of users' values. The two programs
share this package, the serialiser and the store.
"""
