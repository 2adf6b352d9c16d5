"""Tasks that are drawn, not read: copying and adding, fresh sequences every batch, and a deep linear teacher.

Axes: B examples, T the option, n_in features, n_out targets.
"""

from math import log

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, mse_loss

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least
from isogain.data.batches import Batch, Draws, Stream, evaluation_seed
from isogain.data.task import Task

SYMBOLS, RECALLED = 8, 10
BLANK, MARKER = 0, SYMBOLS + 1


class Drawn(Task):
    """Training examples that come once, `batches` batches an epoch; validation and test hold `eval_examples` each.

    Evaluation is drawn on the CPU from `split_seed`, training on the device from `seed`.
    """

    sequential = True
    beside = 0  # steps of a sequence that T does not count

    def __init__(
        self,
        T: int = 200,
        batches: int = 400,
        eval_examples: int = 1000,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, seed)
        self.T = int(at_least("T", T, 2))
        self.length = self.T + self.beside
        self.batches = int(at_least("batches", batches, 1))
        self.eval_examples = int(at_least("eval_examples", eval_examples, 1))
        self.split_sizes = {"val": self.eval_examples, "test": self.eval_examples}

    def known_batches(self, ranks: int = 1) -> dict[str, int]:
        return super().known_batches(ranks) | {"train": self.batches}

    def draw(self, n: int, generator: Generator) -> Batch:
        """n examples as they are stored, on the generator's device."""
        raise unwritten(self, "draw")

    def view(self, x: Tensor) -> Tensor:
        """A batch of stored examples as the network reads them."""
        return x

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        seeds = {
            part: evaluation_seed(self.split_seed, k) for k, part in enumerate(("val", "test"))
        }
        held_out = {
            part: self.draw(self.eval_examples, Generator().manual_seed(seed))
            for part, seed in seeds.items()
        }
        train = Draws(self.draw, self.batch_size, self.batches, self.view, self.seed, device)
        return {"train": train} | self.stored(held_out, device, self.view)


class Copy(Drawn):
    """Ten symbols of eight, T steps of which the last is the marker, ten blanks in which to repeat the symbols.

    x is one-hot, (B, T + 20, 10); y (B, T + 20) is blank (0) up to the last ten steps. The loss is
    per symbol: without memory 10 log 8 / (T + 20) at best. The accuracy is that of the ten symbols.
    Hochreiter and Schmidhuber 1997; Arjovsky, Shah and Bengio 2016, section 5.1.
    """

    n_in, n_out, per_step, beside = SYMBOLS + 2, SYMBOLS + 1, True, 2 * RECALLED

    @property
    def baseline(self) -> float:
        """The loss of blanks up to the end, and of the eight symbols at even odds from there."""
        return RECALLED * log(SYMBOLS) / self.length

    def draw(self, n: int, generator: Generator) -> Batch:
        device = generator.device
        symbols = torch.randint(
            1, SYMBOLS + 1, (n, RECALLED), generator=generator, device=device, dtype=torch.uint8
        )
        x = torch.full((n, self.length), BLANK, device=device, dtype=torch.uint8)
        y = torch.full((n, self.length), BLANK, device=device)
        x[:, :RECALLED], x[:, -RECALLED - 1] = symbols, MARKER
        y[:, -RECALLED:] = symbols
        return x, y

    def view(self, x: Tensor) -> Tensor:
        return torch.eye(self.n_in, device=x.device)[x.int()]

    @staticmethod
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy a symbol, blanks included."""
        return cross_entropy(logits.flatten(0, 1), y.flatten())

    @staticmethod
    def hits(logits: Tensor, y: Tensor) -> Tensor:
        """The share of the ten symbols that is repeated right; (B,)."""
        right = logits[:, -RECALLED:].argmax(-1) == y[:, -RECALLED:]
        return right.float().mean(-1)


class Adding(Drawn):
    """The sum of the two marked numbers among T of U(0, 1), one in either half.

    x (B, T, 2) is number and mark, y (B, 1). Always to answer 1 leaves a mean squared error of 1/6,
    the variance of the sum. Hochreiter and Schmidhuber 1997; Le, Jaitly and Hinton 2015, section 4.1.
    """

    n_in, n_out, loss, baseline = 2, 1, staticmethod(mse_loss), 1 / 6

    def draw(self, n: int, generator: Generator) -> Batch:
        how = {"generator": generator, "device": generator.device}
        half = self.T // 2
        places = torch.cat(
            [torch.randint(half, (n, 1), **how), torch.randint(half, self.T, (n, 1), **how)], 1
        )
        numbers = torch.rand(n, self.T, **how)
        marks = torch.zeros_like(numbers).scatter_(1, places, 1)
        return torch.stack([numbers, marks], -1), numbers.gather(1, places).sum(1, keepdim=True)


class Teacher(Task):
    """y = W_depth … W_1 x + noise, a deep linear teacher with Gaussian W_l of variance 1/n_in; loss: mean square.

    x (B, n_in) is normal and over the `examples` of training exactly white, XᵀX/m = I; validation
    and test have as many. The baseline is the loss of the answer 0. Teacher and examples come from
    `split_seed`. Saxe, McClelland and Ganguli 2013, section 1; Hu, Xiao and Pennington 2020, section 3.
    """

    loss, as_sequence = staticmethod(mse_loss), "data=adding"

    def __init__(
        self,
        n_in: int = 64,
        n_out: int = 10,
        depth: int = 1,
        noise: float = 0.0,
        examples: int = 1024,
        batch_size: int = 128,
        eval_batch_size: int = 500,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, split_seed, seed)
        self.n_in, self.n_out = int(at_least("n_in", n_in, 1)), int(at_least("n_out", n_out, 1))
        self.depth, self.noise = int(at_least("depth", depth, 1)), at_least("noise", noise, 0)
        self.examples = int(at_least("examples", examples, n_in))
        self.split_sizes = dict.fromkeys(("train", "val", "test"), self.examples)
        self.generator = Generator().manual_seed(evaluation_seed(self.split_seed, 0))
        self.map = self._normal(self.n_out, self.n_in) / self.n_in**0.5
        for _ in range(self.depth - 1):
            self.map = self.map @ self._normal(self.n_in, self.n_in) / self.n_in**0.5
        self.baseline = (self.map.square().sum() / self.n_out).item() + self.noise**2

    def streams(self, device: torch.device | str) -> dict[str, Stream]:
        parts = {part: self._normal(self.examples, self.n_in) for part in ("train", "val", "test")}
        parts["train"] = torch.linalg.qr(parts["train"])[0] * self.examples**0.5
        return self.stored({p: self._taught(x) for p, x in parts.items()}, device, lambda x: x)

    def _taught(self, x: Tensor) -> Batch:
        y = x @ self.map.mT + self.noise * self._normal(len(x), self.n_out)
        return x.float(), y.float()

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)
