//! Reader options: typed access, and errors that name the option and what it takes.

use crate::error::{Code, Error, Result};
use crate::scan::{OptionValue, Options};

/// Options that every format takes.
pub const COMMON: [&str; 5] = ["filename", "hive_partitioning", "hive_types", "hive_types_autocast", "union_by_name"];

/// The value of a yes/no option.
///
/// # Errors
/// `INVALID_SETTING` for a value that is neither.
pub fn flag(options: &Options, name: &str) -> Result<Option<bool>> {
    match options.get(name) {
        None => Ok(None),
        Some(OptionValue::Bool(value)) => Ok(Some(*value)),
        Some(OptionValue::Int(0)) => Ok(Some(false)),
        Some(OptionValue::Int(1)) => Ok(Some(true)),
        Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(value) => Err(invalid(name, value, "true or false")),
    }
}

/// The value of a whole-number option.
///
/// # Errors
/// `INVALID_SETTING` for anything else.
pub fn integer(options: &Options, name: &str) -> Result<Option<i64>> {
    match options.get(name) {
        None => Ok(None),
        Some(OptionValue::Int(value)) => Ok(Some(*value)),
        Some(value) => Err(invalid(name, value, "a whole number")),
    }
}

/// The value of a text option.
///
/// # Errors
/// `INVALID_SETTING` for anything else.
pub fn text<'a>(options: &'a Options, name: &str) -> Result<Option<&'a str>> {
    match options.get(name) {
        None => Ok(None),
        Some(OptionValue::Text(value)) => Ok(Some(value)),
        Some(value) => Err(invalid(name, value, "a text")),
    }
}

/// The value of an option that is one ASCII character; `Some(None)` for the empty text, which switches it off.
///
/// # Errors
/// `INVALID_SETTING` for anything else.
pub fn character(options: &Options, name: &str) -> Result<Option<Option<u8>>> {
    match text(options, name)? {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some("\\t") => Ok(Some(Some(b'\t'))),
        Some(value) => match value.as_bytes() {
            [byte] if byte.is_ascii() => Ok(Some(Some(*byte))),
            _ => Err(invalid(name, &OptionValue::Text(value.to_string()), "one ASCII character")),
        },
    }
}

/// The value of an option that is a text or a list of texts.
///
/// # Errors
/// `INVALID_SETTING` for anything else.
pub fn texts(options: &Options, name: &str) -> Result<Option<Vec<String>>> {
    let value = match options.get(name) {
        None => return Ok(None),
        Some(value) => value,
    };
    let one = |item: &OptionValue| match item {
        OptionValue::Text(text) => Ok(text.clone()),
        _ => Err(invalid(name, value, "a text or a list of texts")),
    };
    match value {
        OptionValue::List(items) => items.iter().map(one).collect::<Result<_>>().map(Some),
        item => Ok(Some(vec![one(item)?])),
    }
}

/// The value of an option that maps names of columns to texts, in its order.
///
/// # Errors
/// `INVALID_SETTING` for anything else, and for two names that are the same but for case.
pub fn pairs(options: &Options, name: &str) -> Result<Option<Vec<(String, String)>>> {
    let value = match options.get(name) {
        None => return Ok(None),
        Some(value) => value,
    };
    let OptionValue::Struct(fields) = value else { return Err(invalid(name, value, "{'name': 'TYPE', …}")) };
    let pair = |(key, item): &(String, OptionValue)| match item {
        OptionValue::Text(text) => Ok((key.clone(), text.clone())),
        _ => Err(invalid(name, value, "{'name': 'TYPE', …}")),
    };
    for (index, (key, _)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            let message = format!("the reader option {name} names the column '{key}' twice");
            return Err(Error::new(Code::InvalidSetting, message).hint("names match without regard to case"));
        }
    }
    fields.iter().map(pair).collect::<Result<_>>().map(Some)
}

/// The error for a value that an option cannot take.
pub fn invalid(name: &str, value: &OptionValue, takes: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("the reader option {name} takes {takes}, not {}", shown(value)))
}

/// The value as it would be written in SQL.
pub fn shown(value: &OptionValue) -> String {
    match value {
        OptionValue::Bool(value) => value.to_string(),
        OptionValue::Int(value) => value.to_string(),
        OptionValue::Text(text) => format!("'{}'", text.replace('\'', "''")),
        OptionValue::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        OptionValue::Struct(fields) => {
            let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("'{name}': {}", shown(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// Refuses options that neither the format nor every format knows.
///
/// # Errors
/// `UNKNOWN_SETTING` with the closest known name.
pub fn check_names(options: &Options, format: &str, known: &[&str]) -> Result<()> {
    for name in options.keys() {
        let mut all = known.iter().chain(&COMMON).copied();
        if all.clone().any(|option| option == name) {
            continue;
        }
        let error = Error::new(Code::UnknownSetting, format!("the {format} reader has no option '{name}'"));
        let likeness = |option: &str| strsim::jaro_winkler(name, option);
        let closest = all.clone().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        return Err(match closest {
            Some(option) if likeness(option) > 0.75 => error.hint(format!("did you mean {option}?")),
            _ => {
                let mut list: Vec<_> = all.by_ref().collect();
                list.sort_unstable();
                list.dedup();
                error.hint(format!("it has {}", list.join(", ")))
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, value: OptionValue) -> Options {
        Options::from([(name.to_string(), value)])
    }

    #[test]
    fn an_unknown_option_suggests_the_closest() {
        let given = options("delimm", OptionValue::Text(",".into()));
        let error = check_names(&given, "csv", &["delim", "header"]).unwrap_err();
        assert_eq!(error.code(), Code::UnknownSetting);
        assert_eq!(error.hint_text(), Some("did you mean delim?"));
        let given = options("zzz", OptionValue::Bool(true));
        let hint = check_names(&given, "csv", &["delim"]).unwrap_err();
        assert_eq!(
            hint.hint_text(),
            Some("it has delim, filename, hive_partitioning, hive_types, hive_types_autocast, union_by_name")
        );
        assert!(check_names(&options("filename", OptionValue::Bool(true)), "csv", &[]).is_ok());
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_it_takes() {
        let given = options("header", OptionValue::List(vec![OptionValue::Int(3), OptionValue::Text("it's".into())]));
        let error = flag(&given, "header").unwrap_err();
        assert_eq!(error.message(), "the reader option header takes true or false, not [3, 'it''s']");
        assert!(character(&options("quote", OptionValue::Text("ab".into())), "quote").is_err());
        assert_eq!(character(&options("quote", OptionValue::Text(String::new())), "quote").unwrap(), Some(None));
    }
}
