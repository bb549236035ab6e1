"""A model provider that needs no network: the wire formats of several vendors, invented replies.

Behind the demo, the tests and the first look at a fresh installation. The same request gets the same reply.

    __main__   the command line           app      one request, top to bottom
    doors      which API a path is        framing  how a stream's events are put on the wire
    faults     errors and delays on demand  reply  what is asked, what is answered
    imagine    inventing a reply          prose, samples   its words and its JSON

How it is written on the wire: openai_chat, openai_responses, openai_embeddings, anthropic_messages, gemini,
cohere_chat, bedrock_converse, bedrock_invoke, ollama_chat; groq_chat and mistral_chat differ a little from OpenAI's.
"""
