"""Where a task's files are, and that they are the published ones: a part of a file has another MD5 and is refused."""

import gzip
import hashlib
import logging
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from isogain.config.errors import DataError

log = logging.getLogger(__name__)
UNPACK = {".xz": lzma.decompress, ".gz": gzip.decompress}


def content(path: Path, md5: str, remedy: str = "replace it with a good copy") -> bytes:
    """The bytes of a file, decompressed where its suffix says so, of the given MD5.

    Raises DataError where it is missing, cannot be decompressed, or is not the published one.
    """
    try:
        raw = UNPACK.get(path.suffix, bytes)(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {remedy}") from None
    except (OSError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); replace it with a good copy") from None
    actual = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if actual != md5:
        what = "the decompressed file" if path.suffix in UNPACK else "the file"
        raise DataError(
            f"{path}: MD5 of {what} is {actual}, expected {md5}; replace it with a good copy"
        )
    return raw


def located(folders: Sequence[Path], name: str) -> Path | None:
    """The file of that name, plain or compressed, in the first folder that has it.

    An IDX file may have the name that 7-Zip gives it, train-images.idx3-ubyte, and lie in a folder of its own name.
    """
    names = dict.fromkeys([name, name.replace("-idx", ".idx")])
    places = (
        folder / within / f"{spelled}{suffix}"
        for folder in folders
        for spelled in names
        for suffix in ("", *UNPACK)
        for within in ("", spelled)
    )
    return next((path for path in places if path.is_file()), None)


def downloaded(root: Path, fetch: Callable[[ModuleType, Path], object]) -> bool:
    """Let torchvision, where it is installed, bring its files to `root`; says whether it did.

    It works in a folder of its own, so that what it breaks off never lies in `root`.
    """
    if find_spec("torchvision") is None:
        return False
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=root) as folder:
            fetch(datasets, Path(folder))
            shutil.copytree(folder, root, dirs_exist_ok=True)
    except Exception as error:  # no network, a server's refusal, a full disk: whatever it raises
        log.warning("torchvision could not download to %s: %s", root, error)
        return False
    return True
