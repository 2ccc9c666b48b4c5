"""Third-party packages for workers that have none: found, pinned, built, stored once.

    wanted        what the user may ask for: wrens.Environment
    needs         which modules that are not the user's own code reaches
    installed     which installed distributions these are, and their versions
    installer     the only module that speaks to uv: versions resolved, wheels unpacked
    indexes       where uv looks for packages, when only pip was told
    building      a folder of packages as one object, the same bytes every time
    remembered    which object it was the last time
    supply        all of it together, for one executor

Decides what a worker finds importable beside its own packages. The user's own modules travel as source, which
is :mod:`wrens.serialize`'s business; unpacking is :mod:`wrens.worker.environment`'s. Nothing here is imported
until a backend says that its workers are no copies of this installation.
"""
