"""What wrens can say about jobs: progress, summaries, failures, what may be cleaned away.

    progress   one line for long work, fed by events
    summary    what the store says of a job, as numbers
    failures   failures grouped by their cause
    cleaning   which jobs and objects may be deleted
    breakdown  where the time of a job has gone
    spread     percentiles and the like
    figures    measurements drawn
    wordcount  the work of ``wrens demo``
    texts      durations, sizes and rates as people read them

Decides what is worth knowing and how it is computed. Does not decide how it is printed: that is
:mod:`wrens.cli`. Built on the core's public face, the events and the store's records.
"""
