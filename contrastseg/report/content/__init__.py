"""What tables, figures and the page are made from, and how it is named."""
