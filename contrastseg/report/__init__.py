"""Tables, figures and the page that hold what a suite found, and where every number comes from."""
