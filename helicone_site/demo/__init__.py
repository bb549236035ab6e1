"""A lived-in product in a minute: thirty days of four invented applications, then live traffic as long as it runs.

    cast      who calls and when      step    one exchange as it happened     scene   writing a session's steps in order
    stories   what they talk about    wire    a step as a log door takes it   send    posting them all
    live      calls through the gateway to the fake provider                  provider/   that provider

Everything follows from the calendar day, request ids too, so that telling a day again adds nothing.
"""
