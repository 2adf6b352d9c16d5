"""One run from its seed to its summary: the Learner, its metrics, preemption and resumption."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "learner": ["Learner"],
        "preflight": ["rehearse"],
        "warm_start": ["begin_kernels_afresh_"],
    },
)
