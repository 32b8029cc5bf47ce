//! What was found out about a CSV file, as `sniff_csv` gives it: one row, with the call that reads the file so.
//!
//! The columns are those of DuckDB, followed by the encoding and by texts that seem to mean NULL in columns of numbers
//! (which stay texts until `nullstr` names them).

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, ListArray, StringViewArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::record_batch::RecordBatch;

use crate::error::{Code, Error, Result};
use crate::io::{Compression, Storage};
use crate::scan::csv::encoding::Encoding;
use crate::scan::csv::fit::own_settings;
use crate::scan::csv::head::{after_preamble, head_window};
use crate::scan::csv::settings::Settings;
use crate::scan::csv::sniff::null_spellings;
use crate::scan::infer::pattern::Pattern;
use crate::scan::infer::sql_name;
use crate::scan::options::shown;
use crate::scan::{Format, OptionValue, Options, ScanSpec, resolve};

/// Sniffs the files that `patterns` match, reading them with `options`.
///
/// # Errors
/// As [`resolve`].
pub fn sniff_csv(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    report(&resolve(patterns, Some(Format::Csv), options, storage)?, options)
}

fn report(spec: &ScanSpec, given: &Options) -> Result<RecordBatch> {
    let settings = Settings::new(&spec.options)?;
    let Some(file) = spec.files.iter().find(|file| file.size > 0).or(spec.files.first()) else {
        return Err(Error::new(Code::FileNotFound, "no file to sniff"));
    };
    let mut window = head_window(&file.path, &settings)?;
    let settings = own_settings(&mut window, &settings)?;
    let start = after_preamble(&mut window, &settings)?;
    let text = window.data().get(start..).unwrap_or_default();
    let returns = memchr::memmem::find(text, b"\r\n").is_some();
    let newline = match (settings.dialect().newline, returns) {
        (b'\r', _) => "\\r",
        (_, true) => "\\r\\n",
        _ => "\\n",
    };
    let nulls = null_spellings(text, window.at_end(), &settings);
    let fields: Vec<_> =
        spec.schema.fields().iter().take(spec.schema.fields().len().saturating_sub(spec.hive_columns)).collect();
    let mut settings = settings.into_owned();
    let date = common_form(&settings, &fields, |data_type| matches!(data_type, DataType::Date32));
    let timestamp = common_form(&settings, &fields, |data_type| matches!(data_type, DataType::Timestamp(..)));
    settings.forms.date = settings.forms.date.or(date);
    settings.forms.timestamp = settings.forms.timestamp.or(timestamp);
    let kind = |field: &&FieldRef| match settings.form_of(field.name()) {
        // A call has one form for all dates and one for all timestamps.
        Some(form) if settings.forms.date.as_ref() != Some(form) && settings.forms.timestamp.as_ref() != Some(form) => {
            sql_name(&DataType::Utf8View)
        }
        _ => sql_name(field.data_type()),
    };
    let columns: Vec<(String, String)> = fields.iter().map(|field| (field.name().clone(), kind(field))).collect();
    let prompt = prompt(spec, &settings, newline, &columns);
    let user: Vec<_> = given.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
    batch(&settings, newline, &columns, &nulls, &user.join(", "), &prompt)
}

/// The form in which all columns of these types have their values.
fn common_form(settings: &Settings, fields: &[&FieldRef], is: impl Fn(&DataType) -> bool) -> Option<Pattern> {
    let mut forms = fields.iter().filter(|field| is(field.data_type())).map(|field| settings.form_of(field.name()));
    let first = forms.next()??;
    forms.all(|form| form == Some(first)).then(|| first.clone())
}

/// The call that reads the files as they were found to be.
fn prompt(spec: &ScanSpec, settings: &Settings, newline: &str, columns: &[(String, String)]) -> String {
    let text = |text: &str| shown(&OptionValue::Text(text.to_string()));
    let character = |byte: Option<u8>| match byte {
        Some(b'\t') => "'\\t'".to_string(),
        byte => text(&byte.map_or(String::new(), |byte| char::from(byte).to_string())),
    };
    let dialect = settings.dialect();
    let patterns: Vec<_> = spec.patterns.iter().map(|pattern| text(pattern)).collect();
    let files = match patterns.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let columns: Vec<_> = columns.iter().map(|(name, kind)| format!("{}: {}", text(name), text(kind))).collect();
    // Some things no option says: that there are spaces around quotes, and records that begin as comments do.
    let detect = if dialect.spaced || dialect.uncommented.is_some() { "" } else { "auto_detect=false, " };
    let quotes = match dialect.spaced {
        true => String::new(),
        false => format!(", quote={}, escape={}", character(dialect.quote), character(dialect.escape)),
    };
    let comment = match dialect.uncommented {
        Some(_) => String::new(),
        None => format!(", comment={}", character(dialect.comment)),
    };
    let delimiter = match dialect.tail.is_empty() {
        true => character(Some(dialect.delimiter)),
        false => text(&dialect.delimiter_text()),
    };
    let mut call = format!(
        "FROM read_csv({files}, {detect}delim={}{quotes}, new_line='{newline}', skip={}{comment}, header={}, \
         columns={{{}}}",
        delimiter,
        settings.skip,
        settings.header.unwrap_or(false),
        columns.join(", "),
    );
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            call.push_str(&format!(", {name}={}", text(&value)));
        }
    };
    add("dateformat", settings.forms.date.as_ref().map(|form| form.text().to_string()));
    add("timestampformat", settings.forms.timestamp.as_ref().map(|form| form.text().to_string()));
    add("decimal_separator", settings.forms.comma.then(|| ",".to_string()));
    add("thousands", settings.forms.thousands.map(|mark| char::from(mark).to_string()));
    add("encoding", Some(settings.encoding()).filter(|encoding| *encoding != Encoding::Utf8).map(Encoding::name));
    add("compression", settings.compression.map(Compression::name).map(str::to_string));
    call.push_str(");");
    call
}

fn batch(
    settings: &Settings,
    newline: &str,
    columns: &[(String, String)],
    nulls: &[&str],
    user: &str,
    prompt: &str,
) -> Result<RecordBatch> {
    let dialect = settings.dialect();
    let text = |text: Option<&str>| Arc::new(StringViewArray::from_iter([text])) as ArrayRef;
    let character =
        |byte: Option<u8>| text(Some(&byte.map_or("(empty)".to_string(), |byte| char::from(byte).to_string())));
    let form = |form: &Option<crate::scan::infer::pattern::Pattern>| text(form.as_ref().map(|form| form.text()));
    let user = (!user.is_empty()).then_some(user);
    let skip = u32::try_from(settings.skip).unwrap_or(u32::MAX);
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("Delimiter", text(Some(&dialect.delimiter_text()))),
        ("Quote", character(dialect.quote)),
        ("Escape", character(dialect.escape)),
        ("NewLineDelimiter", text(Some(newline))),
        ("Comment", character(dialect.comment)),
        ("SkipRows", Arc::new(UInt32Array::from(vec![skip]))),
        ("HasHeader", Arc::new(BooleanArray::from(vec![settings.header.unwrap_or(false)]))),
        ("Columns", columns_array(columns)?),
        ("DateFormat", form(&settings.forms.date)),
        ("TimestampFormat", form(&settings.forms.timestamp)),
        ("UserArguments", text(user)),
        ("Prompt", text(Some(prompt))),
        ("Encoding", text(Some(&settings.encoding().name()))),
        ("NullStrings", list(Arc::new(StringViewArray::from_iter_values(nulls)))?),
    ];
    let fields: Vec<Field> =
        arrays.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = arrays.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn columns_array(columns: &[(String, String)]) -> Result<ArrayRef> {
    let names = StringViewArray::from_iter_values(columns.iter().map(|(name, _)| name));
    let types = StringViewArray::from_iter_values(columns.iter().map(|(_, kind)| kind));
    let fields = ["name", "type"].map(|name| Field::new(name, DataType::Utf8View, true));
    let arrays: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(types)];
    list(Arc::new(StructArray::try_new(Fields::from(fields.to_vec()), arrays, None)?))
}

/// One list of all values.
fn list(values: ArrayRef) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
}
