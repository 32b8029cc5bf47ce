//! Functions of the libraries under other names: the new name, and the one that is known.

/// Of scalar functions.
pub(in crate::expr::functions) fn scalar_aliases() -> &'static [(&'static str, &'static str)] {
    &[
        ("lcase", "lower"),
        ("ucase", "upper"),
        ("prefix", "starts_with"),
        ("suffix", "ends_with"),
        ("ceiling", "ceil"),
        ("ifnull", "coalesce"),
        ("greatest_common_divisor", "gcd"),
        ("least_common_multiple", "lcm"),
        ("list_value", "make_array"),
        ("list_pack", "make_array"),
        ("array_value", "make_array"),
        ("array_zip", "arrays_zip"),
        ("get_current_timestamp", "now"),
        ("transaction_timestamp", "now"),
        ("current_localtime", "current_time"),
        ("get_current_time", "current_time"),
    ]
}

/// Of aggregate functions.
pub(in crate::expr::functions) fn aggregate_aliases() -> &'static [(&'static str, &'static str)] {
    &[("variance", "var_samp"), ("arbitrary", "first_value"), ("listagg", "string_agg"), ("group_concat", "string_agg")]
}

/// Of window functions.
pub(in crate::expr::functions) fn window_aliases() -> &'static [(&'static str, &'static str)] {
    &[("rank_dense", "dense_rank"), ("first", "first_value"), ("last", "last_value")]
}
