//! Journals written, damaged and read.

mod fixtures;
mod parse;
mod tamper;
