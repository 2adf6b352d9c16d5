import hashlib
import lzma

import pytest
import torch
from formats import idx_bytes

from isogain.config.errors import DataError
from isogain.data.idx import idx_tensor


def written(path, tensor):
    """The path of a good file of the tensor, and its MD5."""
    raw = idx_bytes(tensor)
    path.write_bytes(lzma.compress(raw))
    return path, hashlib.md5(raw).hexdigest()


@pytest.fixture
def good(tmp_path):
    return written(tmp_path / "images.xz", torch.arange(2 * 3 * 4).view(2, 3, 4))


def refusal(path, md5):
    """The one line that a bad file is refused with."""
    with pytest.raises(DataError) as error:
        idx_tensor(path, md5)
    line = str(error.value)
    assert "\n" not in line and line.startswith(f"{path}: ")
    return line


@pytest.mark.parametrize("shape", [(7,), (300, 2), (2, 3, 4), (1, 1, 1)])
def test_what_was_written_is_read(tmp_path, shape):
    tensor = torch.randint(256, shape, dtype=torch.uint8)
    found = idx_tensor(*written(tmp_path / "file.xz", tensor))
    assert found.dtype == torch.uint8
    assert torch.equal(found, tensor)


def test_the_tensor_can_be_written_to(good):
    idx_tensor(*good).zero_()


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.xz", "")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path, "")


@pytest.mark.parametrize("kept", [0, 1, 12, 40, -1])
def test_a_truncated_file_is_refused(good, kept):
    path, md5 = good
    path.write_bytes(path.read_bytes()[:kept])
    refusal(path, md5)


def test_a_file_damaged_at_any_byte_is_refused(good):
    path, md5 = good
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        refusal(path, md5)


def test_a_file_that_is_not_compressed_is_refused(good):
    path, md5 = good
    path.write_bytes(lzma.decompress(path.read_bytes()))
    assert "cannot be read" in refusal(path, md5)


def test_a_good_file_that_is_not_the_published_one_is_refused_with_both_sums(good):
    path, md5 = good
    line = refusal(path, "0" * 32)
    assert md5 in line and "0" * 32 in line
