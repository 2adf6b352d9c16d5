"""One run from its seed to its summary: the Learner, its metrics, preemption and resumption."""
