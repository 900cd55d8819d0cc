"""What a session trains, one class per family of experiments: its networks, batches, loss and evaluation.

A task has ``model``, ``stack`` (S networks side by side) and ``steps_per_epoch``, and these methods:

batch(seeds, step)      images and labels of a step
prepare(seeds, step)    seeds the random numbers of a step
loss(images, labels)    the loss of each network, (S,)
predict(images)         the output of the networks, in the precision of training
evaluate()              loss and accuracies on the held-out images, each (S,); of digits also on training images
population(batches)     training mini-batches for Alg. 2; 0 means a whole epoch
probe(steps)            the probe that goes with the networks

``batch`` and ``prepare`` are functions of their arguments alone, so a resumed run needs no memory of them.
"""
