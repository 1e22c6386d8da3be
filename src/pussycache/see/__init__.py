"""What lets one see: what is remembered and where, and what would be worth remembering.

No answer to a call is decided here.
"""
