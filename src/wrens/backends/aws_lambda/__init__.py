"""AWS Lambda: attempts are invocations of one function that ``wrens deploy aws`` has made.

    backend      the port: what is in flight, what has become of it
    invoking     sends invocations, as many at a time as the service takes
    pacing       how many that are (pure)
    service      what is asked of Lambda and its logs, and what its refusals mean
    clients      the only module that speaks to boto3
    orders       what an invocation carries
    evidence     from log lines to how an invocation ended (pure)
    handler      what runs inside the function

Decides nothing; names the parts.
"""
