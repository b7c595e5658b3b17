"""The constitution in a run's directory: it loads as it was used, and is replaced whole."""

import errno
import os

import pytest

from constitution import load_constitution
from constitution.loader import shipped_constitutions
from engine.runs.constitution_copy import CONSTITUTION, keep_constitution
from engine.storage.atomic import StorageFull


@pytest.mark.parametrize("name", shipped_constitutions())
def test_a_copy_has_the_hash_of_what_was_used(name, tmp_path):
    used = load_constitution(name)
    keep_constitution(tmp_path, used.model_copy(update={"extends": ("base",)}))
    kept = load_constitution(tmp_path / CONSTITUTION)
    assert (kept.content_hash, kept) == (used.content_hash, used)


def test_a_copy_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    (tmp_path / CONSTITUTION).write_text("before\n", encoding="utf-8")

    def full(*paths):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        keep_constitution(tmp_path, load_constitution("harmlessness"))
    assert (tmp_path / CONSTITUTION).read_text(encoding="utf-8") == "before\n"
    assert [path.name for path in tmp_path.iterdir()] == [CONSTITUTION]
