"""The commands of ``manage.py``; nothing else."""
