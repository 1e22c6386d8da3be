"""The shared tier: entries in a server that several processes ask, and the promise across them.

What is asked, when, and what follows from the replies. How one talks to a server is not said here.
"""
