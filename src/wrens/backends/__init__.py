"""Where workers run: one port, and an adapter for each place.

Decides nothing about a job; an adapter launches what it is told to and says what it sees.
"""
