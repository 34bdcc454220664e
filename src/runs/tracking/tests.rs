//! Tests of what clients write, against a real database.
