//! ATTACKS.md is the table.
