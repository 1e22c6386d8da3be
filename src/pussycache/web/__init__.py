"""The page: what is remembered, how well it serves and what makes it wrong, live in a browser.

Here is only the name that others use.
"""

try:
    from pussycache.web.application import app
except ImportError as error:
    raise ImportError(
        f'pussycache.web needs the package {error.name!r}: pip install "pussycache[web]"'
    ) from error

__all__ = ["app"]
