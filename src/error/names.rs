//! Texts of libraries in the words of SQL: `Decimal128(38, 0)` is HUGEINT, `List(Utf8View)` VARCHAR[], `Utf8("a")` a literal.

/// The text with SQL's names of the types that it names.
pub(crate) fn in_types_of_sql(text: &str) -> String {
    const ENUM: (&str, &str) = ("Struct(\"enum\": ", "})");
    let mut named = text.replace("FixedSizeBinary(16)", "UUID");
    while let Some((before, rest)) = named.split_once(ENUM.0)
        && let Some((_, behind)) = rest.split_once(ENUM.1)
    {
        named = format!("{before}ENUM{behind}");
    }
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut written = String::with_capacity(named.len());
    let mut rest = named.as_str();
    while !rest.is_empty() {
        let (before, from_word) = rest.split_at(rest.find(is_word).unwrap_or(rest.len()));
        let end = from_word.find(|character| !is_word(character)).unwrap_or(from_word.len());
        let (word, behind) = from_word.split_at(end);
        written.push_str(before);
        let (name, behind) = translated(word, behind).unwrap_or((word.to_string(), behind));
        written.push_str(&name);
        rest = behind;
    }
    written
}

/// SQL's name for the type, or literal, that begins with the word, and what stands behind it.
fn translated<'a>(word: &str, behind: &'a str) -> Option<(String, &'a str)> {
    let arguments = inside(behind);
    if let Some(name) = simple(word) {
        return Some(match arguments {
            Some((value, behind)) => (value.replace('"', "'"), behind),
            None => (name.to_string(), behind),
        });
    }
    let (inner, behind) = arguments?;
    let name = match (word, inner) {
        ("Decimal32" | "Decimal64" | "Decimal128" | "Decimal256", _) => decimal(inner)?,
        ("Time32" | "Time64", _) => "TIME".to_string(),
        ("Timestamp", _) if inner.contains(',') => "TIMESTAMP WITH TIME ZONE".to_string(),
        ("Timestamp", "s") => "TIMESTAMP_S".to_string(),
        ("Timestamp", "ms") => "TIMESTAMP_MS".to_string(),
        ("Timestamp", "ns") => "TIMESTAMP_NS".to_string(),
        ("Timestamp", _) => "TIMESTAMP".to_string(),
        ("Interval" | "Duration", _) => "INTERVAL".to_string(),
        ("List" | "LargeList" | "ListView" | "LargeListView", _) => format!("{}[]", item(inner)),
        _ => return None,
    };
    Some((name, behind))
}

fn simple(word: &str) -> Option<&'static str> {
    Some(match word {
        "Boolean" => "BOOLEAN",
        "Int8" => "TINYINT",
        "Int16" => "SMALLINT",
        "Int32" => "INTEGER",
        "Int64" => "BIGINT",
        "UInt8" => "UTINYINT",
        "UInt16" => "USMALLINT",
        "UInt32" => "UINTEGER",
        "UInt64" => "UBIGINT",
        "Float16" | "Float32" => "FLOAT",
        "Float64" => "DOUBLE",
        "Utf8" | "Utf8View" => "VARCHAR",
        "LargeUtf8" => "JSON",
        "LargeBinary" => "BIT",
        "Binary" | "BinaryView" => "BLOB",
        "Date32" | "Date64" => "DATE",
        _ => return None,
    })
}

/// `38, 0` of a type, `Some(15),2,1` of a literal.
fn decimal(inner: &str) -> Option<String> {
    let mut parts = inner.rsplitn(3, ',').map(str::trim);
    let (scale, precision) = (parts.next()?, parts.next()?);
    let Some(value) = parts.next() else {
        return Some(match (precision, scale) {
            ("38", "0") => "HUGEINT".to_string(),
            ("39", "0") => "UHUGEINT".to_string(),
            _ => format!("DECIMAL({precision},{scale})"),
        });
    };
    let Some(digits) = value.strip_prefix("Some(").and_then(|value| value.strip_suffix(')')) else {
        return Some(value.to_string());
    };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let scale: usize = scale.parse().ok().filter(|scale| *scale <= 76)?;
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - scale)?;
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The type of a list's items, without what else is said of them.
fn item(inner: &str) -> String {
    let name = inner.strip_prefix("nullable ").or(inner.strip_prefix("non-null ")).unwrap_or(inner);
    in_types_of_sql(name.split_once(", field:").map_or(name, |(name, _)| name))
}

/// What stands in the parentheses at the front of the text, and what behind them.
fn inside(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 0_usize;
    for (at, character) in inner.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some((inner.get(..at)?, inner.get(at + 1..)?)),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_literals_have_names_of_sql() {
        for (text, named) in [
            ("cast of Int32 + Utf8View", "cast of INTEGER + VARCHAR"),
            ("Decimal128(38, 0) & Decimal128(5, 2)", "HUGEINT & DECIMAL(5,2)"),
            ("value of Time64(ns) type", "value of TIME type"),
            ("Timestamp(µs) and Timestamp(ns, \"UTC\")", "TIMESTAMP and TIMESTAMP WITH TIME ZONE"),
            ("List(nullable Int64), List(Utf8, field: 'x')", "BIGINT[], VARCHAR[]"),
            ("'Int64(1)' and Utf8(\"a\")", "'1' and 'a'"),
            ("Decimal128(Some(-15),3,2) = Decimal128(None,3,2)", "-0.15 = None"),
            ("Int8ball, 'é' and List", "Int8ball, 'é' and List"),
        ] {
            assert_eq!(in_types_of_sql(text), named);
        }
    }
}
