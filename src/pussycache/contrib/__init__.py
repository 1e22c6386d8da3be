"""What lets other people's frameworks and this library know of one another, a module for each.

Nothing here is imported unless it is asked for: the frameworks need not be there.
"""
