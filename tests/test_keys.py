"""Signing keys are made once, kept from everybody else, and rotate."""

import stat
import threading
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.keys import FILE, load_keys, new_key, rotate_keys
from tests.example_site import write_site


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A site without configured keys, whose data folder is not there yet."""
    return write_site(tmp_path)


def test_a_key_is_made_once_and_kept_from_others(config: Config) -> None:
    """Without configured keys one is made in the data folder, for its owner alone, and stays."""
    first = load_keys(config)
    assert load_keys(config) == first
    assert [len(key) for key in first] == [43]
    assert stat.S_IMODE((config.data_folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(config.data_folder.stat().st_mode) == 0o700


def test_many_workers_start_with_one_key(config: Config) -> None:
    """Workers that start at the same moment all sign with the same key."""
    found: list[list[bytes]] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(load_keys(config))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(keys == found[0] for keys in found)
    assert [path.name for path in config.data_folder.iterdir()] == [FILE]


def test_rotation_puts_a_new_key_first(config: Config) -> None:
    """The key before is kept behind the new one; the one before that is dropped."""
    (first,) = load_keys(config)
    rotate_keys(config)
    second = load_keys(config)
    assert (len(second), second[1]) == (2, first)
    rotate_keys(config)
    third = load_keys(config)
    assert (len(third), third[1]) == (2, second[0])


def test_configured_keys_are_the_keys(tmp_path: Path) -> None:
    """Keys of the configuration are taken as they stand; no file is made, and rotating them is refused."""
    keys = [new_key(), new_key()]
    config = write_site(tmp_path, {"keys": keys})
    assert load_keys(config) == [key.encode() for key in keys]
    assert not config.data_folder.exists()
    with pytest.raises(ConfigError, match="change them there"):
        rotate_keys(config)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"short\n", b"\xe9" * 40, (b"k" * 43 + b"\nshort\n")])
def test_a_damaged_key_file_is_named(content: bytes, config: Config) -> None:
    """A key file that is empty, too short or no text is refused by its name, and left as it is."""
    config.data_folder.mkdir()
    (config.data_folder / FILE).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_keys(config)
    assert caught.value.file.endswith(FILE)
    assert (config.data_folder / FILE).read_bytes() == content
