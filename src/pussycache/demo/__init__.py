"""The demo: questions about Python's own source, asked with and without the wrapper.

Here are only the names that others use; no part of the library may import them.
"""

from pussycache.demo.comparison import NoSource, Report, Written, remembering, run
from pussycache.demo.library import Library
from pussycache.demo.questions import Question

__all__ = ["Library", "NoSource", "Question", "Report", "Written", "remembering", "run"]
