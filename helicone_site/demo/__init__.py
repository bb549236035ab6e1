"""A lived-in product in a minute: thirty days of four invented applications, then live traffic as long as it runs.

    cast, stories   who calls when, and what they talk about
    step, scene     one exchange as it happened; writing a session's steps in order
    tracing         one trace as an SDK exports it
    wire, door      a step as a log door takes it; a connection to a running product
    send, live      posting the past; calling through the gateway
    provider        the fake provider the gateway then speaks to

Everything follows from the calendar day, request ids too, so that telling a day again adds nothing.
"""
