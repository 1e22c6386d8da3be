"""A Django application for the tests: accounts, their owners, and the sites they are known at."""
