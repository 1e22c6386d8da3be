"""What the user said: policies, rules, signatures and keys, checked and made plain; pure, no state.

Nothing in this folder knows of a cache or of a load.
"""
