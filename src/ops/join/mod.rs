//! Joins: by equal keys (`hash`), and by any other condition.

pub mod asof;
pub mod hash;
pub mod nested_loop;
pub mod range;
