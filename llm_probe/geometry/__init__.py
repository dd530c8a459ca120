"""What shape a code of labels has: an order round a circle, a line, clusters, an integer - or none at all."""
