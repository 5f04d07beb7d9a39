"""The compiled towers in the package are what `compile_builtin.py` makes."""

from __future__ import annotations

import compile_builtin

from pe_search.pe_audio.compiled import SHIPPED, read_record
from pe_search.pe_audio.compiled_audio import SHIPPED_AUDIO


def test_the_example_makes_what_the_package_has(tmp_path, monkeypatch, capsys):
    made = {SHIPPED: tmp_path / "text", SHIPPED_AUDIO: tmp_path / "audio"}
    monkeypatch.setattr(compile_builtin, "SHIPPED", made[SHIPPED])
    monkeypatch.setattr(compile_builtin, "SHIPPED_AUDIO", made[SHIPPED_AUDIO])
    compile_builtin.main()
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in told] == [str(folder) for folder in made.values()]
    for shipped, folder in made.items():
        assert read_record(folder) == read_record(shipped)
        assert {file.name for file in folder.iterdir()} == {file.name for file in shipped.iterdir()}
