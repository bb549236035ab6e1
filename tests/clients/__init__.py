"""Journeys of clients whose packages cannot all live in one lock: each calls from a virtual environment of its own.

A client is a folder: what it needs (`requirements.txt`), the lock of it, and `calls.py`, which does as it is told by
lines of JSON (`tests.clients.answering`). `./up test --clients` makes the environments and runs the journeys.
"""
