"""The progress bar."""

from tfgen.datasets.progress import with_progress


def test_quick_work_shows_no_bar(capsys):
    assert list(with_progress(range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_long_work_shows_a_bar(capsys):
    assert list(with_progress(range(3), 3, patience=0.0)) == [0, 1, 2]
    assert "3/3" in capsys.readouterr().out
