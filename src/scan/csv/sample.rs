//! Inference: dialect, columns and types of all files, from samples of every part of every file.
//!
//! Files of up to 16 MB together are looked at whole, so that no value can come as a surprise. Of more, blocks spread
//! evenly over each file are looked at, always with its beginning and its end; of a compressed file the beginning.
//! `sample_size => -1` looks at everything, another number at about so many records of each file.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use memchr::memchr;
use rayon::prelude::*;

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::io::{Compression, InputFile, Location};
use crate::scan::csv::boundary::{Boundaries, Layout, Supposition, near_start};
use crate::scan::csv::dates::DateForms;
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::encoding::Encoding;
use crate::scan::csv::fit::{first_bytes, sniffed};
use crate::scan::csv::forms::Forms;
use crate::scan::csv::head::{Head, distinct, head_window};
use crate::scan::csv::records::Records;
use crate::scan::csv::settings::{DATE_FORMS, DETECTED, FILE_COLUMNS, QUOTES_SEEN, Settings};
use crate::scan::csv::sniff::Sniffed;
use crate::scan::csv::tokenize::{Field, Tokenizer};
use crate::scan::csv::window::{TAIL_BYTES, Window};
use crate::scan::infer::pattern::Pattern;
use crate::scan::infer::{Kind, parse_any_type, trim};
use crate::scan::prove::UNPROVEN;
use crate::scan::{FileEntry, Inferred, OptionValue, Options};

/// Inflated bytes up to which everything is looked at.
const WHOLE_BYTES: u64 = 16 << 20;
/// Bytes that are looked at in all where there are more.
const SAMPLE_BYTES: u64 = 4 << 20;
/// Bytes of one block of a sample, and of one piece where everything is looked at.
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = (16 << 10)..=(256 << 10);
const PIECE_BYTES: u64 = 4 << 20;
/// Inflated bytes looked at in a compressed file.
const STREAM_BYTES: std::ops::RangeInclusive<u64> = (256 << 10)..=(4 << 20);
/// Files whose heads are read while planning; of more, so many spread evenly. The others are checked when read.
const MAX_HEADS: usize = 1024;
/// Files that are tried for one with enough records to sniff.
const MAX_SNIFFED_FILES: usize = 16;

/// Infers what is common to all files.
///
/// # Errors
/// Invalid options, unreadable files, files whose columns differ.
pub fn infer(files: &[FileEntry], options: &Options) -> Result<Inferred> {
    let mut settings = Settings::new(options)?;
    if !settings.auto_detect && settings.columns.is_none() {
        return Err(Error::new(Code::InvalidSetting, "auto_detect => false looks for no columns in the files")
            .hint("columns => {'name': 'TYPE', …} declares them"));
    }
    complete_dialect(files, &mut settings)?;
    // Any file may have a column that no other has.
    let looked = evenly(files, if settings.union_by_name { usize::MAX } else { MAX_HEADS });
    let heads: Vec<Head> = looked.par_iter().map(|file| Head::open(&file.path, &settings)).collect::<Result<_>>()?;
    let (first, columns) = common_columns(&looked, &heads, &settings)?;
    settings.file_columns = columns;
    let places = places_of(&looked, &heads, first, &settings)?;
    let mut types = declared_types(&settings)?;
    if types.iter().any(Option::is_none) {
        let seen = sampled(&looked, &heads, &places, &types, &settings, None)?;
        settings.quotes_seen = seen.quotes;
        let kinds = kinds_and_forms(&types, &seen, &mut settings);
        settings.unproven = unproven(files, looked.len(), &types, &kinds, &settings);
        for (data_type, kind) in types.iter_mut().zip(kinds) {
            data_type.get_or_insert_with(|| kind.data_type());
        }
    }
    let field = |(name, data_type): (&String, Option<DataType>)| {
        arrow::datatypes::Field::new(name, data_type.unwrap_or(DataType::Utf8View), true)
    };
    let fields: Vec<_> = settings.file_columns.iter().zip(types).map(field).collect();
    Ok(Inferred { schema: Arc::new(Schema::new(fields)), rows: None, options: completed(options, &settings) })
}

/// What the columns are, and how their dates are written where that is not as usual.
fn kinds_and_forms(types: &[Option<DataType>], seen: &Seen, settings: &mut Settings) -> Vec<Kind> {
    let forms = &settings.forms;
    let usual = forms.date.is_none() && forms.timestamp.is_none();
    let mut date_forms = Vec::new();
    let columns = seen.kinds.iter().zip(&seen.dates).zip(types).zip(&settings.file_columns);
    let kinds = columns.map(|(((kind, dates), given), name)| match dates.only() {
        Some((found, form)) if usual && given.is_none() && *kind == Kind::Text && forms.settle(found) == found => {
            date_forms.push((name.clone(), form.clone()));
            found
        }
        _ => forms.settle(*kind),
    });
    let kinds = kinds.collect();
    settings.date_forms = date_forms;
    kinds
}

/// The inferred columns whose types rest on a sample. Any value is a text; and with `ignore_errors` what does not fit is
/// left out.
fn unproven(
    files: &[FileEntry],
    looked: usize,
    types: &[Option<DataType>],
    kinds: &[Kind],
    settings: &Settings,
) -> Vec<String> {
    if settings.ignore_errors || (looked == files.len() && looks_at_everything(files.iter(), settings)) {
        return Vec::new();
    }
    let columns = settings.file_columns.iter().zip(types).zip(kinds);
    let rests = columns.filter(|((_, given), kind)| given.is_none() && kind.data_type() != DataType::Utf8View);
    rests.map(|((name, _), _)| name.clone()).collect()
}

/// For every file that is looked at, where the scan's columns are in it.
///
/// # Errors
/// Files whose columns differ.
pub fn places_of(
    looked: &[&FileEntry],
    heads: &[Head],
    first: &str,
    settings: &Settings,
) -> Result<Vec<Vec<Option<usize>>>> {
    let places = |(file, head): (&&FileEntry, &Head)| match head.columns {
        0 => Ok(Vec::new()),
        _ => head.places(&file.path, first, settings),
    };
    looked.iter().zip(heads).map(places).collect()
}

/// The options with everything that was detected filled in.
fn completed(options: &Options, settings: &Settings) -> Options {
    let mut options = options.clone();
    for name in ["sep", "separator", "delimiter"] {
        options.remove(name);
    }
    let dialect = settings.dialect();
    let text = |byte: u8| OptionValue::Text(char::from(byte).to_string());
    options.insert("delim".to_string(), OptionValue::Text(dialect.delimiter_text()));
    options.insert("new_line".to_string(), text(dialect.newline));
    let optional =
        |byte: Option<u8>| OptionValue::Text(byte.map_or(String::new(), |byte| char::from(byte).to_string()));
    options.insert("quote".to_string(), optional(dialect.quote));
    options.insert("escape".to_string(), optional(dialect.escape));
    options.insert("comment".to_string(), optional(dialect.comment));
    options.insert("skip".to_string(), OptionValue::Int(i64::try_from(settings.skip).unwrap_or(i64::MAX)));
    options.insert("header".to_string(), OptionValue::Bool(settings.header.unwrap_or(false)));
    let names = settings.file_columns.iter().cloned().map(OptionValue::Text).collect();
    options.insert(QUOTES_SEEN.to_string(), OptionValue::Bool(settings.quotes_seen));
    options.insert(FILE_COLUMNS.to_string(), OptionValue::List(names));
    let detected = settings.detected.iter().cloned().map(OptionValue::Text).collect();
    options.insert(DETECTED.to_string(), OptionValue::List(detected));
    let unproven = settings.unproven.iter().cloned().map(OptionValue::Text).collect();
    options.insert(UNPROVEN.to_string(), OptionValue::List(unproven));
    let form = |(name, form): &(String, Pattern)| (name.clone(), OptionValue::Text(form.text().to_string()));
    options.insert(DATE_FORMS.to_string(), OptionValue::Struct(settings.date_forms.iter().map(form).collect()));
    options.insert("encoding".to_string(), OptionValue::Text(settings.encoding().name()));
    options
}

/// At most `count` files, spread evenly, with the first and the last.
fn evenly(files: &[FileEntry], count: usize) -> Vec<&FileEntry> {
    if files.len() <= count {
        return files.iter().collect();
    }
    (0..count).filter_map(|index| files.get(index * (files.len() - 1) / (count - 1))).collect()
}

/// Sniffs what the options leave open, in the first file with two records, else in the first with one.
fn complete_dialect(files: &[FileEntry], settings: &mut Settings) -> Result<()> {
    let detected = settings.left_open();
    settings.encoding = Some(encoding(files, settings)?);
    if !settings.auto_detect {
        settings.delimiter.get_or_insert(b',');
        settings.header.get_or_insert(false);
        settings.newline.get_or_insert(b'\n');
        return Ok(());
    }
    settings.detected = detected;
    if files.iter().all(|file| has_tabs(&file.path)) {
        settings.delimiter.get_or_insert(b'\t');
        settings.detected.retain(|name| name != "delim");
    }
    let mut best: Option<Sniffed> = None;
    for file in files.iter().filter(|file| file.size > 0).take(MAX_SNIFFED_FILES) {
        let mut window = head_window(&file.path, settings)?;
        let sniffed = sniffed(&mut window, settings, None)?;
        if best.is_none_or(|best| sniffed.records > best.records) {
            best = Some(sniffed);
        }
        if sniffed.records > 1 {
            break;
        }
    }
    if let Some(best) = best {
        *settings = settings.clone().with(&best);
    }
    Ok(())
}

/// The encoding of all files: as the options say, else as the first file shows that has anything but ASCII.
fn encoding(files: &[FileEntry], settings: &Settings) -> Result<Encoding> {
    let given = settings.encoding.unwrap_or(Encoding::Utf8);
    let Some(file) = files.iter().find(|file| file.size > 0) else { return Ok(given) };
    if matches!(settings.encoding, Some(Encoding::Utf8 | Encoding::Latin1)) {
        return Ok(given);
    }
    let first = first_bytes(&file.path, settings)?;
    if given.is_contradicted(&first) {
        let (found, path) = (Encoding::of_bytes(&first).name(), &file.path);
        let message = format!("'{path}' begins with the mark of {found}, not of {}", given.name());
        return Err(Error::new(Code::InvalidData, message).hint("encoding => 'utf-16' goes by the mark"));
    }
    if let Some(given) = settings.encoding {
        return Ok(given.settled(&first));
    }
    let mut found = Encoding::of_text(&first);
    let mut plain = first.is_ascii();
    for file in files.iter().filter(|file| file.size > 0).take(MAX_SNIFFED_FILES).skip(1) {
        if !plain {
            break;
        }
        let bytes = first_bytes(&file.path, settings)?;
        // UTF-16 is never ASCII: files of it are all marked, or the first one is.
        let other = Encoding::of_text(&bytes);
        (plain, found) = (bytes.is_ascii(), if other.is_single_byte() { other } else { found });
    }
    Ok(found)
}

/// The name promises tabs.
fn has_tabs(path: &str) -> bool {
    let (_, name) = Compression::split_name(path);
    name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("tsv"))
}

/// The columns of the scan, and a file that has them (for errors).
fn common_columns<'a>(looked: &[&'a FileEntry], heads: &[Head], settings: &Settings) -> Result<(&'a str, Vec<String>)> {
    let filled = looked.iter().zip(heads).find(|(_, head)| head.columns > 0);
    let first = filled.map(|(file, _)| *file).or(looked.first().copied());
    let path = first.map_or("", |file| file.path.as_str());
    if let Some(columns) = &settings.columns {
        return Ok((path, columns.iter().map(|(name, _)| name.clone()).collect()));
    }
    let Some((_, head)) = filled else {
        let message = format!("'{path}' is empty: it has no columns");
        return Err(Error::new(Code::InvalidData, message).hint("columns => {'name': 'TYPE', …} declares them"));
    };
    let mut columns = match &head.names {
        Some(names) => names.clone(),
        None => (0..head.columns).map(|index| format!("column{index}")).collect(),
    };
    if let Some(names) = &settings.names {
        if names.len() > columns.len() {
            let message = format!("{} names are given, but '{path}' has {} columns", names.len(), columns.len());
            return Err(Error::new(Code::InvalidSetting, message));
        }
        for (column, name) in columns.iter_mut().zip(names) {
            column.clone_from(name);
        }
        return Ok((path, distinct(columns)));
    }
    if settings.union_by_name {
        for name in heads.iter().filter_map(|head| head.names.as_ref()).flatten() {
            if !columns.iter().any(|column| column.eq_ignore_ascii_case(name)) {
                columns.push(name.clone());
            }
        }
    }
    Ok((path, columns))
}

/// The types that the options give.
fn declared_types(settings: &Settings) -> Result<Vec<Option<DataType>>> {
    if settings.first_types.len() > settings.file_columns.len() {
        let (types, columns) = (settings.first_types.len(), settings.file_columns.len());
        let message = format!("the option types gives {types} types, but there are {columns} columns");
        return Err(Error::new(Code::InvalidSetting, message));
    }
    for (name, _) in &settings.types {
        if !settings.file_columns.iter().any(|column| column.eq_ignore_ascii_case(name)) {
            let likeness = |column: &&String| (strsim::jaro_winkler(column, name) * 1000.0) as u64;
            let error =
                Error::new(Code::InvalidSetting, format!("the option types names '{name}', which is no column"));
            return Err(match settings.file_columns.iter().max_by_key(likeness) {
                Some(column) => error.hint(format!("did you mean {column}?")),
                None => error,
            });
        }
    }
    let declared = |name: &String| match settings.declared_type(name) {
        Some(text) => parse_any_type(text).map(Some),
        None if settings.all_varchar => Ok(Some(DataType::Utf8View)),
        None => Ok(None),
    };
    settings.file_columns.iter().map(declared).collect()
}

/// A part of a file that is looked at.
struct Block {
    /// Index into the files that are looked at.
    file: usize,
    start: u64,
    stop: u64,
    max_rows: usize,
    /// Where the whole file is looked at in pieces: its cuts, and which piece this is. The blocks of a sample have
    /// none, and are passed over when their first record is hard to find.
    piece: Option<(Arc<Boundaries>, usize)>,
}

/// What samples show.
pub struct Seen {
    /// By column.
    pub kinds: Vec<Kind>,
    /// By column, the forms of dates in which all values are.
    pub dates: Vec<DateForms>,
    /// Whether there was any quote.
    quotes: bool,
}

impl Seen {
    fn nothing(columns: usize) -> Self {
        Seen { kinds: vec![Kind::Null; columns], dates: vec![DateForms::ALL; columns], quotes: false }
    }

    fn join(self, other: Seen, forms: &Forms) -> Seen {
        let kinds = self.kinds.into_iter().zip(other.kinds).map(|(a, b)| forms.join(a, b)).collect();
        let dates = self.dates.into_iter().zip(other.dates).map(|(a, b)| a.both(b)).collect();
        Seen { kinds, dates, quotes: self.quotes || other.quotes }
    }
}

/// What the values of each column look like; columns with a type are not looked at.
///
/// # Errors
/// What reading finds.
pub fn sampled(
    looked: &[&FileEntry],
    heads: &[Head],
    places: &[Vec<Option<usize>>],
    types: &[Option<DataType>],
    settings: &Settings,
    cancel: Option<&CancelToken>,
) -> Result<Seen> {
    let nothing = || Seen::nothing(types.len());
    let look = |block: &Block| -> Result<Seen> {
        let (Some(file), Some(head), Some(places)) =
            (looked.get(block.file), heads.get(block.file), places.get(block.file))
        else {
            return Ok(nothing());
        };
        // Which column of the scan each wanted field is.
        let (targets, wanted): (Vec<usize>, Vec<usize>) = (places.iter().zip(types).enumerate())
            .filter_map(|(column, (place, data_type))| Some((column, place.filter(|_| data_type.is_none())?)))
            .unzip();
        if wanted.is_empty() && cancel.is_some() {
            return Ok(nothing());
        }
        let of_block = in_block(&file.path, head, block, &wanted, settings, cancel)?;
        let mut seen = Seen { quotes: of_block.quotes, ..nothing() };
        for (target, (kind, dates)) in targets.into_iter().zip(of_block.kinds.into_iter().zip(of_block.dates)) {
            if let (Some(of_kind), Some(of_dates)) = (seen.kinds.get_mut(target), seen.dates.get_mut(target)) {
                (*of_kind, *of_dates) = (kind, dates);
            }
        }
        Ok(seen)
    };
    blocks(looked, settings).par_iter().map(look).try_reduce(nothing, |a, b| Ok(a.join(b, &settings.forms)))
}

/// Whether every value of these files is looked at.
fn looks_at_everything<'a>(files: impl Iterator<Item = &'a FileEntry>, settings: &Settings) -> bool {
    let inflated = |file: &FileEntry| file.size.saturating_mul(settings.compression_of(&file.path).expansion());
    match settings.sample_size {
        Some(rows) => rows < 0,
        None => files.map(inflated).fold(0, u64::saturating_add) <= WHOLE_BYTES,
    }
}

fn blocks(looked: &[&FileEntry], settings: &Settings) -> Vec<Block> {
    let everything = looks_at_everything(looked.iter().copied(), settings);
    let share = SAMPLE_BYTES / (looked.len() as u64).max(1);
    let mut blocks = Vec::new();
    for (index, file) in looked.iter().enumerate() {
        let block = |start, stop, max_rows| Block { file: index, start, stop, max_rows, piece: None };
        let rows = settings.sample_size.and_then(|rows| usize::try_from(rows).ok());
        let compressed = settings.is_stream(&file.path);
        let size = if compressed { u64::MAX } else { file.size };
        if let Some(rows) = rows {
            let third = rows.div_ceil(3).max(1);
            let starts = if compressed { vec![0] } else { vec![0, size / 2, size.saturating_sub(*BLOCK_BYTES.end())] };
            blocks.extend(starts.into_iter().map(|start| block(start, size, third)));
        } else if compressed {
            let stop = if everything { u64::MAX } else { share.clamp(*STREAM_BYTES.start(), *STREAM_BYTES.end()) };
            blocks.push(block(0, stop, usize::MAX));
        } else if everything || size <= share {
            let pieces = usize::try_from(size.div_ceil(PIECE_BYTES)).unwrap_or(usize::MAX).max(1);
            let cuts: Vec<u64> = (0..pieces as u64).map(|piece| piece * PIECE_BYTES).collect();
            let boundaries = Arc::new(Boundaries::new(cuts.clone()));
            blocks.extend(cuts.into_iter().enumerate().map(|(piece, cut)| {
                let piece = Some((boundaries.clone(), piece));
                Block { piece, ..block(cut, cut + PIECE_BYTES, usize::MAX) }
            }));
        } else {
            let length = (share / 3).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end());
            let count = (share / length).max(3);
            let starts = (0..count).map(|number| size.saturating_sub(length) / (count - 1) * number);
            blocks.extend(starts.map(|start| block(start, start + length, usize::MAX)));
            // Rounding must not leave the last record out.
            if let Some(last) = blocks.last_mut() {
                last.stop = size;
            }
        }
    }
    blocks
}

/// What the values of the `wanted` fields look like in one block. Bad records are passed over: reading names them.
fn in_block(
    path: &Location,
    head: &Head,
    block: &Block,
    wanted: &[usize],
    settings: &Settings,
    cancel: Option<&CancelToken>,
) -> Result<Seen> {
    let mut seen = Seen::nothing(wanted.len());
    let dialect = head.record_dialect();
    let tokenizer = Tokenizer::new(dialect, settings.rules, head.columns, wanted);
    let window = if settings.is_stream(path) {
        let mut window = Window::over_stream(path, settings.stream(path)?, dialect.newline, None);
        window.skip_to(head.data_start)?;
        window
    } else {
        let file = Arc::new(InputFile::open(path)?);
        file.expect(block.start.saturating_sub(1)..block.stop.saturating_add(TAIL_BYTES));
        let Some(start) = block_start(&file, head, block, &tokenizer)? else { return Ok(seen) };
        Window::over_file(file, start, block.stop, dialect.newline, None)
    };
    let mut records = Records::new(window, tokenizer, block.stop, head.columns, true);
    let quote = dialect.quote.unwrap_or_default();
    let mut rows = 0;
    while rows < block.max_rows && records.next((block.max_rows - rows).min(4096))? {
        cancel.map_or(Ok(()), CancelToken::check)?;
        rows += records.tile().rows;
        seen.quotes = seen.quotes || (dialect.quote.is_some() && memchr(quote, records.data()).is_some());
        for (index, (kind, dates)) in seen.kinds.iter_mut().zip(&mut seen.dates).enumerate() {
            let fields = records.tile().fields.iter().skip(index).step_by(wanted.len().max(1));
            (*kind, *dates) = kind_of(*kind, *dates, fields, records.data(), &dialect, settings);
        }
    }
    Ok(seen)
}

/// `kind` joined with what the fields look like, and those of `dates` in which they are written, as far as they are
/// texts from the first on.
fn kind_of<'a>(
    mut kind: Kind,
    mut dates: DateForms,
    fields: impl Iterator<Item = &'a Field>,
    data: &[u8],
    dialect: &Dialect,
    settings: &Settings,
) -> (Kind, DateForms) {
    for field in fields {
        if kind == Kind::Text && dates.is_empty() {
            break;
        }
        let raw = data.get(field.start()..field.end()).unwrap_or_default();
        if raw.is_empty() || settings.means_null(raw, field.quoted()) {
            continue;
        }
        let text = dialect.unescaped(raw, field.escaped());
        kind = settings.forms.widen(kind, &text);
        dates = if kind == Kind::Text { dates.of_text(trim(&text)) } else { DateForms::NONE };
    }
    (kind, dates)
}

/// Where the block's records start; `None` passes over a block of a sample where that is hard to tell.
fn block_start(file: &Arc<InputFile>, head: &Head, block: &Block, tokenizer: &Tokenizer) -> Result<Option<u64>> {
    let layout = Layout { file, data_start: head.data_start, tokenizer, quotes_expected: true };
    if let Some((boundaries, index)) = &block.piece {
        return boundaries.start(*index, &layout, None).map(Some);
    }
    Ok(match near_start(block.start, &layout)? {
        Supposition::UnlessQuoted { start, .. } => Some(start),
        supposed => supposed.start(),
    })
}
