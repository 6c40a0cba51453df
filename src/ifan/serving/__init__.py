"""Photographs over HTTP: an API, and a page for people.

The server is two processes. One speaks HTTP, and touches no picture. The other, the worker, has the
network, and reads and writes pictures: whatever a hostile file does to it, it is replaced.
"""
