"""Tables, as blocks of rows of cells, and the formats they are written in."""
