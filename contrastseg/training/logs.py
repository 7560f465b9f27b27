"""The training log: one CSV with a row every few steps, the same in TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from contrastseg.files import atomic_path, wrap_write_errors


class Log:
    """Rows of a run's log. A resumed run starts from the rows its checkpoint carries, so none is lost or doubled.

    Args:
        folder: The run's folder; `log.csv` and `tensorboard/` are written there.
        rows: Rows of the steps done so far.
        writes: Whether anything is written; of several processes that train a run together the first one writes.
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]], writes: bool = True) -> None:
        self.folder = folder
        self.rows = rows
        self._board = None
        if not writes:
            return
        from torch.utils.tensorboard import SummaryWriter

        done = rows[-1]["step"] if rows else 0
        with wrap_write_errors(folder / "tensorboard"):
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Append a row; `step` counts the steps done."""
        self.rows.append({"step": step, **values})
        if self._board is None:
            return
        with wrap_write_errors(self.folder / "tensorboard"):
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def write(self) -> None:
        """Write `log.csv` whole. Columns are the union of the rows', in order of appearance."""
        if self._board is None:
            return
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(self.folder / "log.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        with wrap_write_errors(self.folder / "tensorboard"):
            self._board.flush()

    def close(self) -> None:
        """Write everything and end."""
        self.write()
        if self._board is None:
            return
        with wrap_write_errors(self.folder / "tensorboard"):
            self._board.close()
