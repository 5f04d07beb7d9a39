"""The compiled text tower in the package is what `compile_builtin.py` makes."""

from __future__ import annotations

import compile_builtin

from pe_search.pe_audio.compiled import SHIPPED, read_record


def test_the_example_makes_what_the_package_has(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compile_builtin, "SHIPPED", tmp_path / "made")
    compile_builtin.main()
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'made'}: ")
    assert read_record(tmp_path / "made") == read_record(SHIPPED)
    names = [{file.name for file in folder.iterdir()} for folder in (tmp_path / "made", SHIPPED)]
    assert names[0] == names[1]
