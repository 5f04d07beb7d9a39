"""Tables of labels, times and captions, as people and other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_search.errors import TableError
from pe_search.known.annotations import Annotation, read_annotations


@pytest.fixture
def table(tmp_path):
    """Write a table, and return what it is read as."""

    def read(content: str | bytes, audio: Path | None = None, name: str = "labels.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_annotations(file, audio)

    return read


def rows_of(annotations):
    return [(one.line, one.name, one.label, one.start_s, one.end_s) for one in annotations.rows]


def test_labels(table, tmp_path):
    found = table("path,label\na.wav,dog\nb/c.wav,rain\na.wav,rain\n/x/d.wav,\n")
    assert (found.kind, found.labels) == ("labels", ("dog", "rain"))
    assert found.rows == (
        Annotation(2, "a.wav", tmp_path / "a.wav", "dog", None, None, str(tmp_path / "a.wav")),
        Annotation(3, "b/c.wav", tmp_path / "b/c.wav", "rain", None, None, str(tmp_path / "b/c.wav")),
        Annotation(4, "a.wav", tmp_path / "a.wav", "rain", None, None, str(tmp_path / "a.wav")),
        Annotation(5, "/x/d.wav", Path("/x/d.wav"), "", None, None, "/x/d.wav"),
    )


def test_times(table):
    found = table("label,end_s,start_s,path\ndog,2.5,1,a.wav\n,,,b.wav\n")
    assert (found.kind, found.labels) == ("times", ("dog",))
    assert rows_of(found) == [(2, "a.wav", "dog", 1.0, 2.5), (3, "b.wav", "", None, None)]


def test_captions_with_commas_line_ends_and_a_byte_order_mark(table):
    found = table('\ufeff\r\nPath;Caption\r\na.wav;"A dog, then\r\nrain"\r\n\r\nb.wav;Rain\r\n')
    assert (found.kind, found.labels) == ("captions", ("A dog, then\r\nrain", "Rain"))
    assert [one.line for one in found.rows] == [4, 6]


def test_captions_may_have_times_questions_and_splits(table):
    found = table("path,start,end,question,caption,split\na.wav,1,2.5,Which bird? ,A wren.,train\nb.wav,,,,Rain.,\n")
    assert found.kind == "captions"
    assert [(one.label, one.start_s, one.end_s, one.question, one.split) for one in found.rows] == [
        ("A wren.", 1.0, 2.5, "Which bird?", "train"),
        ("Rain.", None, None, "", ""),
    ]


def test_what_describe_writes_is_a_table_of_captions(table):
    found = table("path,start_s,end_s,question,answer,score,probability,model\na.wav,0,10,What?,A wren.,1.5,0.8,m\n")
    assert (found.kind, rows_of(found)) == ("captions", [(2, "a.wav", "A wren.", 0.0, 10.0)])
    # Where there is something else to go by, it is a column as any other.
    assert table("path,label,answer\na.wav,dog,yes\n").kind == "labels"


def test_recordings_and_other_columns(table, tmp_path):
    found = table("path\trecording\tweather\tlabel\na.wav\tnight 1\tfine\tdog\nb.wav\t\twet\tdog\n")
    assert [one.recording for one in found.rows] == ["night 1", str(tmp_path / "b.wav")]


def test_a_table_of_raven_has_each_selection_once_and_times_of_the_file(table, tmp_path):
    found = table(
        "Selection\tView\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tBegin File\tFile Offset (s)\tSpecies\n"
        "1\tWaveform 1\t61.5\t62.25\t0\ta.wav\t1.5\towl\n"
        "1\tSpectrogram 1\t61.5\t62.25\t0\ta.wav\t1.5\towl\n"
        "2\tSpectrogram 1\t70.0\t71.0\t0\tb.wav\t10.0\tdog\n"
    )
    assert found.kind == "times"
    assert rows_of(found) == [(2, "a.wav", "owl", 1.5, 2.25), (4, "b.wav", "dog", 10.0, 11.0)]
    assert found.rows[0].path == tmp_path / "a.wav"


def test_a_table_of_raven_without_files_is_about_one(table, tmp_path):
    text = "Selection\tBegin Time (s)\tEnd Time (s)\tAnnotation\n1\t1\t2\towl\n"
    assert rows_of(table(text, tmp_path / "a.wav")) == [(2, str(tmp_path / "a.wav"), "owl", 1.0, 2.0)]


def test_labels_of_audacity(table, tmp_path):
    found = table("1.000000\t2.500000\towl\n\\\t200.0\t900.0\n3.0\t4.0\tdog\n", tmp_path / "a.wav", "labels.txt")
    name = str(tmp_path / "a.wav")
    assert rows_of(found) == [(1, name, "owl", 1.0, 2.5), (3, name, "dog", 3.0, 4.0)]


NO_COLUMN = "there is no column"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "is empty; a table has a header such as path,label and a row for each label"),
        ("\n \n", None, "is empty; a table has a header such as path,label and a row for each label"),
        ("path,label\n", None, "has a header and no rows"),
        ("path,label\na.wav,\n", None, "has no label in any row"),
        ("path,kind\na.wav,dog\n", 1, f"{NO_COLUMN} label or caption; columns are 'path', 'kind'"),
        ("\nlabel\ndog\n", 2, f"{NO_COLUMN} path; columns are 'label'. Name the audio file (--audio)"),
        ("path,start,label\na.wav,1,dog\n", 1, f"{NO_COLUMN} end; columns are 'path', 'start', 'label'"),
        ("path,end,label\na.wav,1,dog\n", 1, f"{NO_COLUMN} start; columns are 'path', 'end', 'label'"),
        ("path,label,caption\na,b,c\n", 1, "has a column label and a column caption; keep one of them"),
        ("path,label,LABEL\na,b,c\n", 1, "there are 2 columns for label"),
        ("1\t2\tdog\n", 1, f"{NO_COLUMN} path; columns are 'start', 'end', 'label'. Name the audio file (--audio)"),
        ("path,label\n,dog\n", 2, "path is empty"),
        ("path,label\na\0b,dog\n", 2, None),
        ("path,label\na.wav\n", 2, "has 1 values, and the header 2 columns"),
        ("path,label\na.wav,dog,cat\n", 2, "has 3 values, and the header 2 columns"),
        ('path,label\na.wav,"dog\n', 2, "can't be read: unexpected end of data"),
        ('path,label\na.wav,"do"g\n', 2, "can't be read: ',' expected after '\"'"),
        ("path,label\na.wav," + 200_000 * "x" + "\n", 2, "can't be read: field larger than field limit (131072)"),
        ("path,caption\na.wav,rain\nb.wav, \n", 3, "caption is empty"),
        ("path,caption,start,end\na.wav,rain,1,\n", 2, "end must be a number of seconds; it is ''"),
        ("path,start,end,label\na,1,2,\n", 2, "label is empty; a row without a label has no times either"),
        ("path,start,end,label\na,,2,dog\n", 2, "start must be a number of seconds; it is ''"),
        ("path,start,end,label\na,1,2,dog\na,1,two,dog\n", 3, "end must be a number of seconds; it is 'two'"),
        ("path,start,end,label\na,nan,2,dog\n", 2, "start must be a number of seconds; it is 'nan'"),
        ("path,start,end,label\na,1,inf,dog\n", 2, "end must be a number of seconds; it is 'inf'"),
        ("path,start,end,label\na,1,1_0,dog\n", 2, "end must be a number of seconds; it is '1_0'"),
        ("path,start,end,label\na,-1,2,dog\n", 2, "start must not be negative; it is '-1'"),
        ("path,start,end,label\na,2,2,dog\n", 2, "end must be after start; it is 2, and start 2"),
        (b"path,label\na.wav,dog\nb.wav,\xff\n", 3, "is not UTF-8"),
        (b"\xff\xfep\0a\0", 1, "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(table, tmp_path, content, line, reason):
    with pytest.raises(TableError) as caught:
        table(content)
    assert (caught.value.path, caught.value.line) == (tmp_path / "labels.csv", line)
    if reason is not None:
        assert caught.value.reason == reason
    place = f"{tmp_path / 'labels.csv'}" + ("" if line is None else f", line {line}")
    assert str(caught.value) == f"{place}: {caught.value.reason}."
    assert "\n" not in str(caught.value)


def test_a_table_with_paths_is_not_about_one_file(table, tmp_path):
    with pytest.raises(TableError, match="has a column path, so it can't be used with an audio file"):
        table("path,label\na,b\n", tmp_path / "a.wav")


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_annotations(tmp_path / "no.csv")
