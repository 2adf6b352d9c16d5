import os
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
from isogain.training.allocator import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(size) for size in [100_000] * 100 + [10_000_000]]
    for block in blocks:
        libc.memset(block, 1, 100_000)
    for block in blocks:
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults()
print(faults())
"""


def faults(how):
    """Page faults as 20 MB are taken and touched that were freed before."""
    told = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="the C library is not glibc"
)
def test_memory_that_was_freed_is_taken_again_without_page_faults():
    assert faults("kept") < 100 < faults("handed back")
