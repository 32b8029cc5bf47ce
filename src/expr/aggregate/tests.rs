//! Tests of aggregates.
