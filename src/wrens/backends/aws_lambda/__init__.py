"""AWS Lambda: attempts are invocations of one function that ``wrens deploy aws`` has made.

    backend      the port: what is in flight, what has become of it
    invoking     sends invocations, as many at a time as the service takes
    pacing       how many that are (pure)
    service      what is asked of Lambda and its logs, and what its refusals mean
    clients      the only module that speaks to boto3
    orders       what an invocation carries
    evidence     from log lines to how an invocation ended (pure)
    handler      what runs inside the function

and for what is there before the first of them:

    naming       what things on AWS are called
    permissions  who may do what, as data
    packaging    the worker's code, as a zip and for an image
    stamp        what a function holds
    account      requests to an account, as data
    deployed     what there is
    deploying    what has to be done (pure)
    removing     what has to be removed (pure)
    steps        doing it
    checking     what can be wrong

Decides nothing; names the parts.
"""
