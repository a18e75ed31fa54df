//! The pages of `docs/guide`: every block of code in them is a test.
