//! JSON (to come).
