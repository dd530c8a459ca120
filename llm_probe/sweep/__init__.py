"""Sweeps: one job for every combination of some options, from any number of processes, to one table.

grid       what is asked for: a kind of job, fixed fields, axes  ->  cells
folder     a sweep on disk: its plan, its finished cells, who computes which
workers    computes the cells nobody else has
executors  starts workers: processes of this machine, or a Slurm array and one dependent merge
merge      the tables of all cells as one, in the order of the plan
cost       prompts, FLOPs, memory and time before anything runs
"""
