"""The paper's evaluation: its protocol, the numbers of the field, and reports."""
