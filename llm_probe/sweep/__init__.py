"""Sweeps: one job for every combination of some options, from any number of processes, to one table.

grid      what is swept: a kind of job, fixed fields, axes  ->  cells
folder    a sweep on disk: its plan, its finished cells, who computes which, and where it stands
workers   computes free cells; starts workers here, or as a Slurm array with one dependent merge
merge     the tables of all cells as one, in the order of the plan; the page: what is missing, then all verdicts
cost      prompts, FLOPs, memory and time before anything runs
"""
