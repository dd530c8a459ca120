"""The pictures of a toy network, all in the style of `style.py`, which is the style of the whole project.

material   what pictures are drawn from, and what a family gives back
families   every family in order: training, weights, circuits and causes hold them
sweeps     the picture of a sweep; animate: the film
examine    from a path to everything that is known of the network there; page: the page of it
"""
