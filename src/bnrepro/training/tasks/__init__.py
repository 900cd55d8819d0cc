"""What a session trains, one class a family of experiments: its network, its batches, its loss, how it is judged.

A task offers ``model``, ``stack`` (S networks side by side), ``steps_per_epoch``, ``batch(seeds, step)``,
``loss(images, labels)`` (S,), ``prepare(seeds, step)`` before a step, ``predict(images)``, ``evaluate()`` of values
(S,), ``population(batches)`` (training mini-batches for Alg. 2; 0 means a whole epoch) and ``probe(steps)``.
"""
