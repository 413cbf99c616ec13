"""The benchmark's rows, tables and figure, from made-up figures."""

import math
from dataclasses import asdict, replace

import pytest
import scores
from scores import OURS, RTK, Row

BIG = Row("big", OURS, "8 × 8 × 8", 4, calls=5, machine="box", date="2026-01-02", error=8e-4, joseph_error=8e-4)
ROWS = [
    replace(BIG, engine=RTK, ratio=1.5, cpu_ms=750.0, wall_ms=760.0, peak_mb=1600.0, version="rtk 2"),
    Row("big", "Absent", "8 × 8 × 8", 4, machine="box", note="not installed: apt install it", date="2026-01-01"),
    replace(BIG, ratio=0.025, cpu_ms=12.0),
    replace(BIG, case="smooth", engine=RTK, ratio=1.4, error=1e-4),
]


def same(one: Row, other: Row) -> bool:
    pairs = zip(asdict(one).values(), asdict(other).values())
    return all(a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)) for a, b in pairs)


def test_rows_survive_their_file(tmp_path):
    scores.write(tmp_path / "rows.csv", ROWS)
    twins = scores.read(tmp_path / "rows.csv")
    assert len(twins) == len(ROWS)
    assert all(same(row, twin) for row, twin in zip(ROWS, twins))


def test_no_file_is_no_rows(tmp_path):
    assert scores.read(tmp_path / "rows.csv") == []


def test_a_row_takes_its_old_place():
    newer = replace(ROWS[0], ratio=1.6)
    assert scores.put(ROWS, newer)[0] is newer
    assert len(scores.put(ROWS, newer)) == len(ROWS)


@pytest.mark.parametrize("field", ["case", "engine", "machine"])
def test_a_row_of_something_else_is_added(field):
    other = replace(ROWS[0], **{field: "another"})
    assert scores.put(ROWS, other) == [*ROWS, other]


def test_how_many_times_slower_is_a_ratio_of_ratios():
    assert scores.times_ours(ROWS, ROWS[0]) == pytest.approx(60)
    assert math.isnan(scores.times_ours(ROWS, ROWS[3]))  # ours was not measured on that case


def test_a_table_runs_from_the_fastest_to_those_without_figures():
    table = scores.peers_table(ROWS, "big")
    assert [line[0] for line in table.lines] == [OURS, f"{RTK} (rtk 2)", "Absent"]
    assert table.lines[1][1:] == ("750", "760", "1.50", "60.0", "0.0800", "1.00", "0.0100", "1600", "–", "5 views")
    assert table.lines[2][-1] == "not installed: apt install it"
    assert all(len(line) == len(table.headings) for line in table.lines)


def test_the_scaling_table_has_a_line_a_row():
    table = scores.scaling_table([ROWS[2]])
    assert len(table.lines[0]) == len(table.headings)
    assert table.lines[0][9] == "40.0"


def test_the_page_says_when_where_and_what():
    table = scores.peers_table(ROWS, "big")
    page = scores.page([table], ["all is well"], ROWS)
    for words in ("2026-01-01 to 2026-01-02", "box", "all is well", "| " + " | ".join(table.headings) + " |", "LEAP"):
        assert words in page


@pytest.mark.parametrize(
    ("value", "text"), [(12.345, "12.3"), (750.4, "750"), (11238.0, "11200"), (0.000812, "0.000812"), (math.nan, "–")]
)
def test_a_number_has_three_digits(value, text):
    assert scores.number(value) == text


def test_the_figure_shows_every_engine_that_has_figures(tmp_path):
    scores.draw(ROWS, "big", tmp_path / "speed.svg")
    text = (tmp_path / "speed.svg").read_text(encoding="utf-8")
    assert OURS in text and RTK in text and "Absent" not in text
    assert "60.0 × ours, error 1.00 × Joseph's" in text
    scores.draw(ROWS, "big", tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text
