"""Small decompositions side by side, one a core: a matrix of some hundred rows gains little from a second one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from isogain.linalg.half import HALF


def each(call: Callable[[int], Tensor], count: int) -> list[Tensor]:
    """[call(0), …, call(count − 1)], on as many threads as torch has; `call` sees the gradient mode of a new thread."""
    cores = torch.get_num_threads()
    if min(cores, count) < 2:
        return [call(i) for i in range(count)]
    try:
        alone = partial(torch.set_num_threads, 1)
        with ThreadPoolExecutor(min(cores, count), initializer=alone) as pool:
            return list(pool.map(call, range(count)))
    finally:
        torch.set_num_threads(cores)


def singular_values(stack: Tensor) -> Tensor:
    """Of a stack (matrices, n, k), descending, (matrices, min(n, k)); a CPU takes a matrix a core."""
    if stack.dtype in HALF:
        return singular_values(stack.float()).to(stack.dtype)
    if not stack.is_cpu or not len(stack):
        return torch.linalg.svdvals(stack)
    return torch.stack(each(lambda i: torch.linalg.svdvals(stack[i]), len(stack)))


def log_abs_dets(stack: Tensor) -> Tensor:
    """log |det A| of a stack (matrices, n, n); (matrices,). `linalg.solve` says why a CPU takes a matrix a core."""
    if stack.dtype in HALF:
        return log_abs_dets(stack.float()).to(stack.dtype)
    if not stack.is_cpu or not len(stack):
        return torch.linalg.slogdet(stack).logabsdet
    return torch.stack(each(lambda i: torch.linalg.slogdet(stack[i]).logabsdet, len(stack)))
