"""What a session trains, one class per family of experiments: its network, its batches, its loss, how it is judged.

A task offers ``model``, ``stack`` (S networks side by side), ``steps_per_epoch``, ``batch(seeds, step)``,
``prepare(seeds, step)`` before a step, ``loss(images, labels)`` (S,), ``predict(images)``, ``evaluate()`` of values
(S,), ``population(batches)`` (training mini-batches for Alg. 2; 0 means a whole epoch) and ``probe(steps)``. What
``batch`` gives and what ``prepare`` seeds are functions of their arguments alone: resuming needs no memory of them.
"""
