"""How fast pussycache is beside its peers: `python -m benchmarks`. Nothing here is installed."""
