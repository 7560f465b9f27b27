"""Losses whose results' shapes hang on values where those can be read: both ways of theirs."""

from __future__ import annotations

import pytest

from tests.rehearsal import VALUE_READERS


@pytest.fixture(params=[True, False], ids=["values read", "values masked"])
def values_read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """True as on a CPU, where rows that take no part are left out; False as on a GPU, where they have weight 0."""
    for module in VALUE_READERS:
        monkeypatch.setattr(module, "values_at_hand", lambda _tensor: request.param)
    read: bool = request.param
    return read
