//! Joins: by equal keys (`hash`), and by any other condition.

pub mod nested_loop;
