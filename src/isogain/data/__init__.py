"""Tasks, in memory on the training device: a batch is one indexing operation."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cifar": ["CIFAR10"],
        "mnist": ["MNIST", "FashionMNIST", "SeqFashionMNIST", "SeqMNIST"],
        "padded": ["NoisyPadded"],
        "sentiment": ["Sentiment"],
        "svhn": ["SVHN"],
        "synthetic": ["Adding", "Copy", "Teacher"],
        "task": ["Task"],
    },
)
