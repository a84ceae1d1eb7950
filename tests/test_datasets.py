"""The typed-in facts are whole, and the table counts them right."""

import pytest
import torch

from course_lib.datasets import Series, baseball_1987, citations, wins_table


def test_the_season_is_complete():
    season = baseball_1987()
    teams = {row.home for row in season}
    assert len(season) == 42 == len({(row.home, row.away) for row in season})
    assert len(teams) == 7
    assert sum(row.home_wins + row.away_wins for row in season) == 273
    games = {}
    for row in season:
        pair = frozenset((row.home, row.away))
        games[pair] = games.get(pair, 0) + row.home_wins + row.away_wins
    assert set(games.values()) == {13}


def test_wins_are_counted_for_both_sides():
    names, wins = wins_table(baseball_1987())
    assert names == sorted(names)
    slow = torch.zeros(7, 7, dtype=torch.float64)
    for row in baseball_1987():
        slow[names.index(row.home), names.index(row.away)] += row.home_wins
        slow[names.index(row.away), names.index(row.home)] += row.away_wins
    assert torch.equal(wins, slow)
    milwaukee, detroit = names.index("Milwaukee"), names.index("Detroit")
    assert (wins[milwaukee, detroit], wins[detroit, milwaukee]) == (7, 6)


def test_the_home_side_wins_more_often():
    won = sum(row.home_wins for row in baseball_1987())
    assert won / 273 == pytest.approx(0.564, abs=5e-4)


def test_citations_count_the_cited_journal_in_rows():
    journals, cited = citations()
    assert len(journals) == len(cited) == 4
    assert cited[0][1] == 730
    assert cited[1][0] == 33


def test_an_empty_season_is_refused():
    with pytest.raises(ValueError, match="season is empty"):
        wins_table([])
    assert wins_table([Series("A", "B", 1, 0)])[1].tolist() == [[0, 1], [0, 0]]
