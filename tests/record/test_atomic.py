import pytest

from isogain.record.atomic import replaced


def test_a_block_that_ends_well_leaves_the_whole_file_and_nothing_else(tmp_path):
    with replaced(tmp_path / "record") as part:
        part.write_text("new")
    assert (tmp_path / "record").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_until_the_block_ends_the_old_file_stands(tmp_path):
    path = tmp_path / "record"
    path.write_text("old")
    with replaced(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "record"
    path.write_text("old")
    with pytest.raises(failure), replaced(path) as part:
        part.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_a_block_that_fails_before_it_writes_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), replaced(tmp_path / "record"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path):
    """The new file is put in place of the old one; it is not written over it."""
    path = tmp_path / "record"
    path.write_text("old")
    with path.open() as reader:
        with replaced(path) as part:
            part.write_text("new")
        assert reader.read() == "old"
