"""The pictures of a toy network: one file a group of families, all drawn with the functions of `pictures/figures.py`.

material   what pictures are drawn from, and what a family gives back
families   every family in order
training, weights, circuits, causes, sweeps   the families; gallery: their larger drawing functions
tables     what the other toys' pictures read: universal, addition, addition_neurons
"""
