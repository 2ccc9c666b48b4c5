"""The other program: runs one attempt at a time and keeps nothing.

    backend ──Invocation──▶ attempt.run ──▶ Report, and notices on the way
                              │
              load            │  function, initializer, inputs          from the store
              loop            │  call after call, as fast as Python can
              watchdog        │  beside it: hands on, times out, beats, follows the parent
              settle          ▼  one verdict: put-if-absent               to the store

It is the same function under every backend, and cheap to import: it shares with the driver only the wire
records, the serialiser and the store. Decides how one attempt is carried out; which attempts there are and
what follows from a verdict is the driver's business.
"""
