"""When does a circle appear? A series of checkpoints of one training, each probed as a run probes a model.

config        what is probed, and at which checkpoints
checkpoints   which states of the training those are: hub revisions or local folders, with their steps
series        every claim at every checkpoint, beside one random twin that all of them share, to tables
changes       the step from which a measure stands above its null, with an interval
table         what the rows say
page          the section and the figure: level, R² and accuracy over training
film          the items of a claim as they arrange themselves
pairs         of the reference's snapshots: right answers on pairs that were trained on, and on others
trainings     the events of several trainings in their order
"""
