"""A model provider that needs no network: OpenAI's and Anthropic's wire formats, invented replies.

Behind the demo, the tests and the first look at a fresh installation. The same request gets the same reply.

    __main__   the command line           app      one request, top to bottom
    faults     errors and delays on demand  reply  what is asked, what is answered
    imagine    inventing a reply          prose, samples   its words and its JSON
    openai_chat, openai_responses, openai_embeddings, anthropic_messages   how it is written on the wire
"""
