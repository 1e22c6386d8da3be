"""What ``manage.py`` finds; nothing else."""
