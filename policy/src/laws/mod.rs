//! What holds for the policy as a whole, not for one rule.

mod checks;
mod day;
mod file;
mod oracles;
mod page;
mod raising;
mod template;
mod way_out;
