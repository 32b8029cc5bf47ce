//! Functions that are short for other SQL: the session puts the text in place of the call, with the arguments for the
//! parameters.
//!
//! FILTER, OVER and DISTINCT of a call of such an aggregate go to the aggregates of the text.

/// One function.
#[derive(Debug)]
pub struct Macro {
    pub family: &'static str,
    pub name: &'static str,
    /// The names of the parameters, separated by commas.
    pub parameters: &'static str,
    pub description: &'static str,
    /// The expression that it stands for.
    pub body: &'static str,
    /// Whether the text holds aggregates.
    pub is_aggregate: bool,
}

const fn scalar(
    family: &'static str,
    name: &'static str,
    parameters: &'static str,
    description: &'static str,
    body: &'static str,
) -> Macro {
    Macro { family, name, parameters, description, body, is_aggregate: false }
}

const fn aggregate(
    name: &'static str,
    parameters: &'static str,
    description: &'static str,
    body: &'static str,
) -> Macro {
    Macro { family: "aggregate", name, parameters, description, body, is_aggregate: true }
}

/// A table function that is short for a query.
#[derive(Debug)]
pub struct TableMacro {
    pub name: &'static str,
    /// The names of the parameters, separated by commas.
    pub parameters: &'static str,
    pub description: &'static str,
    /// The query that it stands for.
    pub body: &'static str,
}

/// All table functions of that kind.
pub static TABLE_MACROS: [TableMacro; 6] = [
    TableMacro {
        name: "repeat",
        parameters: "value, count",
        description: "The value so many times",
        body: "SELECT value AS \"repeat\" FROM range(count) AS numbers",
    },
    TableMacro {
        name: "repeat_row",
        parameters: "values..., num_rows",
        description: "The row of these values so many times",
        body: "SELECT values FROM range(num_rows) AS numbers",
    },
    TableMacro {
        name: "json_each",
        parameters: "json",
        description: "A row for every entry of an object or array",
        body: "SELECT unnest(entry) FROM (SELECT unnest(\"#json_each\"(json)) AS entry) AS entries",
    },
    TableMacro {
        name: "json_each",
        parameters: "json, path",
        description: "A row for every entry of an object or array",
        body: "SELECT unnest(entry) FROM (SELECT unnest(\"#json_each\"(json, path)) AS entry) AS entries",
    },
    TableMacro {
        name: "json_tree",
        parameters: "json",
        description: "A row for the value, its entries, theirs, and so on",
        body: "SELECT unnest(entry) FROM (SELECT unnest(\"#json_tree\"(json)) AS entry) AS entries",
    },
    TableMacro {
        name: "json_tree",
        parameters: "json, path",
        description: "A row for the value, its entries, theirs, and so on",
        body: "SELECT unnest(entry) FROM (SELECT unnest(\"#json_tree\"(json, path)) AS entry) AS entries",
    },
];

/// All of them. A name may be there several times, with different numbers of parameters.
pub fn all() -> &'static [Macro] {
    &ALL
}

static ALL: [Macro; 75] = [
    scalar(
        "text",
        "array_to_string_comma_default",
        "list",
        "The values of a list with commas between them",
        "array_to_string(list, ',')",
    ),
    scalar("numeric", "add", "a, b", "The sum", "a + b"),
    scalar("numeric", "subtract", "a, b", "The difference", "a - b"),
    scalar("numeric", "multiply", "a, b", "The product", "a * b"),
    scalar("numeric", "mod", "a, b", "The rest of the division, with the sign of a", "a % b"),
    scalar("date", "ago", "span", "The time so long before now", "now() - span"),
    scalar("date", "date_add", "date, span", "The date and a span of time", "date + span"),
    scalar(
        "utility",
        "if",
        "condition, a, b",
        "a where the condition holds, else b",
        "CASE WHEN condition THEN a ELSE b END",
    ),
    scalar("utility", "nullif", "a, b", "a, or NULL where it equals b", "CASE WHEN a = b THEN NULL ELSE a END"),
    scalar("utility", "current_database", "", "The name of the database", "'memory'"),
    scalar("utility", "current_schema", "", "The name of the schema", "'main'"),
    scalar(
        "list",
        "array_push_front",
        "list, value",
        "The list with the value before it",
        "array_prepend(value, list)",
    ),
    scalar(
        "list",
        "generate_subscripts",
        "list, dimension",
        "A row for every place of the list",
        "unnest(generate_series(dimension, len(list)))",
    ),
    scalar("list", "list_string_agg", "list", "The values with commas between them", "array_to_string(list, ',')"),
    scalar(
        "list",
        "list_string_agg",
        "list, separator",
        "The values with the separator between them",
        "array_to_string(list, separator)",
    ),
    scalar("list", "list_has_any", "list, values", "Whether the list has any of the values", HAS_ANY),
    scalar("list", "array_has_any", "list, values", "Whether the list has any of the values", HAS_ANY),
    scalar("list", "list_has_all", "list, values", "Whether the list has all of the values", HAS_ALL),
    scalar("list", "array_has_all", "list, values", "Whether the list has all of the values", HAS_ALL),
    scalar(
        "regex",
        "regexp_split_to_table",
        "text, pattern",
        "A row for every part between what the pattern finds",
        "unnest(string_split_regex(text, pattern))",
    ),
    scalar("date", "current_localtimestamp", "", "The time at which the statement began", "CAST(now() AS TIMESTAMP)"),
    scalar(
        "utility",
        "hive_partition_component",
        "name, value",
        "The name of the folder of a partition: name=value",
        "concat(coalesce(url_encode(CAST(name AS VARCHAR)), 'NULL'), '=', \
         coalesce(url_encode(CAST(value AS VARCHAR)), '__HIVE_DEFAULT_PARTITION__'))",
    ),
    scalar("map", "map_contains", "map, key", "Whether the map has the key", "array_has(map_keys(map), key)"),
    scalar(
        "map",
        "map_contains_value",
        "map, value",
        "Whether the map has the value",
        "array_has(map_values(map), value)",
    ),
    scalar(
        "map",
        "map_contains_entry",
        "map, key, value",
        "Whether the key has the value",
        "CASE WHEN map IS NOT NULL THEN coalesce(map_extract_value(map, key) = value, false) END",
    ),
    aggregate(
        "min",
        "value, count",
        "The least values",
        "CASE WHEN count(value) > 0 THEN list_slice(array_compact(list(value ORDER BY value)), 1, count) END",
    ),
    aggregate(
        "max",
        "value, count",
        "The greatest values",
        "CASE WHEN count(value) > 0 THEN list_slice(array_compact(list(value ORDER BY value DESC NULLS LAST)), 1, count) END",
    ),
    aggregate("arg_min", "value, key, count", "The values of the rows with the least keys", LEAST),
    aggregate("min_by", "value, key, count", "The values of the rows with the least keys", LEAST),
    aggregate("arg_max", "value, key, count", "The values of the rows with the greatest keys", GREATEST),
    aggregate("max_by", "value, key, count", "The values of the rows with the greatest keys", GREATEST),
    aggregate(
        "arg_min_null",
        "value, key",
        "As arg_min, where the value may be NULL",
        "first_value(CASE WHEN key IS NOT NULL THEN value END ORDER BY key NULLS LAST)",
    ),
    aggregate(
        "arg_max_null",
        "value, key",
        "As arg_max, where the value may be NULL",
        "first_value(CASE WHEN key IS NOT NULL THEN value END ORDER BY key DESC NULLS LAST)",
    ),
    aggregate(
        "arg_min_nulls_last",
        "value, key",
        "As arg_min, rows with a NULL counting where there are no others",
        "first_value(value ORDER BY key NULLS LAST)",
    ),
    aggregate(
        "arg_max_nulls_last",
        "value, key",
        "As arg_max, rows with a NULL counting where there are no others",
        "first_value(value ORDER BY key DESC NULLS LAST)",
    ),
    scalar("utility", "current_catalog", "", "The name of the database", "'memory'"),
    scalar("utility", "current_user", "", "The name of the user", "'floe'"),
    scalar("utility", "current_role", "", "The name of the user", "'floe'"),
    scalar("utility", "session_user", "", "The name of the user", "'floe'"),
    scalar("utility", "user", "", "The name of the user", "'floe'"),
    scalar(
        "utility",
        "current_schemas",
        "with_implicit",
        "The names of the schemas that are searched",
        "make_array('main')",
    ),
    scalar(
        "utility",
        "in_search_path",
        "database_name, schema_name",
        "Whether the schema is searched",
        "schema_name = 'main'",
    ),
    aggregate("json_group_array", "value", "A JSON array of the values", "to_json(list(value))"),
    aggregate(
        "json_group_structure",
        "value",
        "The types of the parts of all values, as JSON",
        "json_extract(json_structure(to_json(list(value))), '$[0]')",
    ),
    aggregate(
        "json_group_object",
        "key, value",
        "A JSON object of the keys and values",
        "\"#json_entries\"(list(key), list(value))",
    ),
    aggregate(
        "bitstring_agg",
        "number",
        "A bit for every number from the least to the greatest, 1 where there is one",
        "\"#bits_of_numbers\"(list(DISTINCT number), min(number), max(number))",
    ),
    aggregate(
        "bitstring_agg",
        "number, least, greatest",
        "A bit for every number between two, 1 where there is one",
        "\"#bits_of_numbers\"(list(DISTINCT number), any_value(least), any_value(greatest))",
    ),
    aggregate("histogram", "value", "How often every value occurs", "list_histogram(list(value ORDER BY value))"),
    aggregate(
        "histogram",
        "value, bins",
        "How many values are in every bin: at most as large, and larger than the one before",
        "\"#histogram_bins\"(list(value), any_value(bins))",
    ),
    aggregate(
        "histogram_exact",
        "value, bins",
        "How many values are equal to every bin",
        "\"#histogram_exact\"(list(value), any_value(bins))",
    ),
    aggregate("entropy", "value", "The entropy of the values in bits", "coalesce(list_entropy(list(value)), 0.0)"),
    aggregate("mad", "number", "The median of the distances from the median", "list_mad(list(CAST(number AS DOUBLE)))"),
    aggregate("approx_top_k", "value, count", "The most frequent values", "\"#top\"(list(value), count)"),
    aggregate("approx_quantile", "value, fraction", "About the quantile", "approx_percentile_cont(value, fraction)"),
    aggregate("max_by", "value, key", "The value of the row with the greatest key", ARG_MAX),
    aggregate("arg_max", "value, key", "The value of the row with the greatest key", ARG_MAX),
    aggregate("argmax", "value, key", "The value of the row with the greatest key", ARG_MAX),
    aggregate("min_by", "value, key", "The value of the row with the least key", ARG_MIN),
    aggregate("arg_min", "value, key", "The value of the row with the least key", ARG_MIN),
    aggregate("argmin", "value, key", "The value of the row with the least key", ARG_MIN),
    aggregate(
        "approx_count_distinct",
        "value",
        "About how many different values there are",
        "CAST(approx_distinct(value) AS BIGINT)",
    ),
    aggregate("count_star", "", "The number of rows", "count(*)"),
    aggregate(
        "count_if",
        "condition",
        "The number of rows where the condition holds, NULL where it is never known",
        "sum(CASE WHEN condition THEN 1 WHEN NOT condition THEN 0 END)",
    ),
    aggregate(
        "countif",
        "condition",
        "The number of rows where the condition holds, NULL where it is never known",
        "sum(CASE WHEN condition THEN 1 WHEN NOT condition THEN 0 END)",
    ),
    aggregate("geomean", "number", "The geometric mean", "exp(avg(ln(CAST(number AS DOUBLE))))"),
    aggregate("geometric_mean", "number", "The geometric mean", "exp(avg(ln(CAST(number AS DOUBLE))))"),
    aggregate("favg", "number", "The mean, by a compensated sum", "avg(CAST(number AS DOUBLE))"),
    aggregate("fsum", "number", "The compensated sum", "sum(CAST(number AS DOUBLE))"),
    aggregate("sumkahan", "number", "The compensated sum", "sum(CAST(number AS DOUBLE))"),
    aggregate("kahan_sum", "number", "The compensated sum", "sum(CAST(number AS DOUBLE))"),
    aggregate("sum_no_overflow", "number", "The sum", "sum(number)"),
    aggregate(
        "sem",
        "number",
        "The standard error of the mean",
        "stddev_pop(number) / sqrt(CAST(count(number) AS DOUBLE))",
    ),
    aggregate(
        "reservoir_quantile",
        "value, fraction",
        "The quantile, as quantile_disc gives it",
        "quantile_disc(value, fraction)",
    ),
    aggregate("wavg", "value, weight", "The weighted mean", WEIGHTED),
    aggregate("weighted_avg", "value, weight", "The weighted mean", WEIGHTED),
];

/// NULL is no value that a list could have.
const HAS_ANY: &str = "array_has_any(array_compact(list), values)";

const HAS_ALL: &str = "array_has_all(list, array_compact(values))";

const WEIGHTED: &str = "sum(CAST(value AS DOUBLE) * weight) / sum(CASE WHEN value IS NOT NULL THEN weight END)";

const ARG_MAX: &str = "first_value(CASE WHEN key IS NOT NULL THEN value END ORDER BY CASE WHEN value IS NOT NULL THEN key END DESC NULLS LAST)";

const ARG_MIN: &str = "first_value(CASE WHEN key IS NOT NULL THEN value END ORDER BY CASE WHEN value IS NOT NULL THEN key END NULLS LAST)";

const LEAST: &str = "CASE WHEN count(CASE WHEN key IS NOT NULL THEN value END) > 0 THEN list_slice(array_compact(list(CASE WHEN key IS NOT NULL THEN value END ORDER BY key NULLS LAST)), 1, count) END";

const GREATEST: &str = "CASE WHEN count(CASE WHEN key IS NOT NULL THEN value END) > 0 THEN list_slice(array_compact(list(CASE WHEN key IS NOT NULL THEN value END ORDER BY key DESC NULLS LAST)), 1, count) END";
