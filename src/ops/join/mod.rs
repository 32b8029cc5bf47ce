//! Joins: by equal keys (`hash`), and by any other condition.
