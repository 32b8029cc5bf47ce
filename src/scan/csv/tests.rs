//! Claims about whole scans: from files on disk to rows.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_expr::{Expr, col, lit};

use super::*;
use crate::batch::SourceRef;
use crate::cancel::CancelToken;
use crate::error::Code;
use crate::io::Storage;
use crate::memory::Budget;
use crate::scan::csv::head::Head;
use crate::scan::csv::tokenize::Tokenizer;
use crate::scan::{Format, OptionValue, ScanSpec, resolve, source};
use crate::store::Store;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (name, content) in files {
            let path = folder.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    fn spec(&self, pattern: &str, options: &[(&str, OptionValue)]) -> Result<ScanSpec> {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        resolve(&[self.path(pattern)], Some(Format::Csv), &options, &Storage::default())
    }
}

fn context(threads: usize, batch_size: usize) -> Arc<QueryContext> {
    let budget = Budget::new(256 << 20);
    let store = Store::new(budget.clone());
    Arc::new(QueryContext { cancel: CancelToken::new(), budget, store, batch_size, threads, side: None })
}

fn batches(source: &SourceRef) -> Result<Vec<RecordBatch>> {
    let mut all = Vec::new();
    for index in 0..source.split_count() {
        let mut split = source.open(index)?;
        while let Some(batch) = split.next()? {
            assert_eq!(batch.schema(), source.schema());
            all.push(batch);
        }
    }
    Ok(all)
}

/// Rows as text, columns separated by `|`, NULL as `∅`.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(values.join("|"));
        }
    }
    lines
}

fn read(spec: ScanSpec) -> Result<Vec<String>> {
    let projection = (0..spec.schema.fields().len()).collect();
    let request = ScanRequest {
        spec: Arc::new(spec),
        projection,
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    Ok(lines(&batches(&source(request, &context(4, 3))?)?))
}

fn read_text(text: &[u8], options: &[(&str, OptionValue)]) -> Result<Vec<String>> {
    read(Folder::new(&[("x.csv", text)]).spec("x.csv", options)?)
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_string())
}

fn types(spec: &ScanSpec) -> Vec<String> {
    let shown = |field: &arrow::datatypes::FieldRef| {
        format!("{} {}", field.name(), crate::scan::infer::sql_name(field.data_type()))
    };
    spec.schema.fields().iter().map(shown).collect()
}

fn struct_of(pairs: &[(&str, &str)]) -> OptionValue {
    OptionValue::Struct(pairs.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}

const YES: OptionValue = OptionValue::Bool(true);

#[test]
fn types_are_inferred_and_values_come_out_as_written() {
    let data = b"\xef\xbb\xbfid,zip,when,day,ok,price,huge,note\r\n\
        1,01234,2013-01-01T10:00:00Z,2013-01-01,true,1.5,92233720368547758070,\"a \"\"b\"\"\r\nc\"\r\n\
        -2,99999,,2013-02-01,FALSE,2,7,\"\"\r\n";
    let folder = Folder::new(&[("x.csv", data)]);
    let spec = folder.spec("x.csv", &[]).unwrap();
    let expected = [
        "id BIGINT",
        "zip VARCHAR",
        "when TIMESTAMP",
        "day DATE",
        "ok BOOLEAN",
        "price DOUBLE",
        "huge DECIMAL(38,0)",
        "note VARCHAR",
    ];
    assert_eq!(types(&spec), expected);
    let rows = read(spec).unwrap();
    assert_eq!(
        rows,
        [
            "1|01234|2013-01-01T10:00:00|2013-01-01|true|1.5|92233720368547758070|a \"b\"\r\nc",
            "-2|99999|∅|2013-02-01|false|2.0|7|"
        ]
    );
}

#[test]
fn a_column_widens_over_all_files_and_all_parts() {
    let mut long = String::from("a,b\n");
    for row in 0..200_000 {
        long.push_str(if row == 123_456 { "x,1.5\n" } else { "1,2\n" });
    }
    let folder = Folder::new(&[("1.csv", long.as_bytes()), ("2.csv", b"a,b\n3,2013-01-01\n")]);
    let spec = folder.spec("*.csv", &[]).unwrap();
    assert_eq!(types(&spec), ["a VARCHAR", "b VARCHAR"]);
    assert_eq!(types(&folder.spec("1.csv", &[]).unwrap()), ["a VARCHAR", "b DOUBLE"]);
    assert_eq!(read(spec).unwrap().len(), 200_001);
}

#[test]
fn options_shape_what_is_read() {
    let data = b"junk \"\n# c\n1;NA;'x;y'\n\n2;;''\n";
    let options = [
        ("skip", OptionValue::Int(1)),
        ("comment", text("#")),
        ("quote", text("'")),
        ("nullstr", OptionValue::List(vec![text("NA"), text("")])),
        ("names", OptionValue::List(vec![text("n"), text("m")])),
    ];
    assert_eq!(read_text(data, &options).unwrap(), ["1|∅|x;y", "2|∅|"]);
    let folder = Folder::new(&[("x.csv", data)]);
    assert_eq!(types(&folder.spec("x.csv", &options).unwrap()), ["n BIGINT", "m VARCHAR", "column2 VARCHAR"]);
    let options = [("all_varchar", YES), ("header", OptionValue::Bool(false))];
    assert_eq!(read_text(b"a,b\n007,1\n", &options).unwrap(), ["a|b", "007|1"]);
    let columns = struct_of(&[("x", "INTEGER"), ("y", "DECIMAL(6,2)")]);
    assert_eq!(read_text(b"007,1.5\n+8,\n", &[("columns", columns)]).unwrap(), ["7|1.50", "8|∅"]);
    let some = struct_of(&[("B", "VARCHAR")]);
    assert_eq!(read_text(b"a,b\n1,2.50\n", &[("types", some)]).unwrap(), ["1|2.50"]);
    assert_eq!(read_text(b"a|b\n1|\"2\"\n", &[]).unwrap(), ["1|2"]);
    assert_eq!(read_text(b"a,b\r1,2\r3,4", &[]).unwrap(), ["1|2", "3|4"]);
    assert_eq!(read_text(b"v\n1\n\n3\n", &[]).unwrap(), ["1", "∅", "3"]);
    assert_eq!(read_text(b"a,b\n\0x,\0\n", &[]).unwrap(), ["\0x|\0"]);
}

#[test]
fn empty_files_and_lone_headers_have_no_rows() {
    let error = read_text(b"", &[]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("x.csv"), "{error}");
    assert!(read_text(b"", &[("columns", struct_of(&[("a", "BIGINT")]))]).unwrap().is_empty());
    let folder = Folder::new(&[("1.csv", b""), ("2.csv", b"a,b"), ("3.csv", b"a,b\n1,2\n")]);
    assert_eq!(types(&folder.spec("2.csv", &[]).unwrap()), ["a VARCHAR", "b VARCHAR"]);
    assert_eq!(read(folder.spec("*.csv", &[]).unwrap()).unwrap(), ["1|2"]);
}

#[test]
fn a_ragged_row_names_file_line_and_counts() {
    let mut data = String::from("a,b\n\"x\ny\",1\n");
    data.push_str(&"p,2\n".repeat(100_000));
    data.push_str("only\nq,3\n");
    let folder = Folder::new(&[("bad.csv", data.as_bytes())]);
    let error = read(folder.spec("bad.csv", &[]).unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("2 columns expected, 1 found: only"), "{error}");
    let rows = read(folder.spec("bad.csv", &[("ignore_errors", YES)]).unwrap()).unwrap();
    assert_eq!(rows.len(), 100_002);
    assert!(read_text(b"a,b\n1,2\n3,\"4\n", &[]).unwrap_err().message().contains("line 3"));
    let error = read_text(b"a,b\n1,\"2\"x\n3,4\n", &[]).unwrap_err();
    assert!(error.message().contains("line 2") && error.message().contains("1,\"2\"x"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_names_line_column_and_type() {
    let columns = struct_of(&[("a", "BIGINT"), ("b", "DATE")]);
    let options = [("columns", columns.clone()), ("header", OptionValue::Bool(false))];
    let error = read_text(b"1,2013-01-01\n2,\"soon\"\n", &options).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().ends_with("column 'b': 'soon' is not a DATE, in the line: 2,\"soon\""), "{error}");
    assert!(error.hint_text().unwrap().contains("types => {'b': 'VARCHAR'}"), "{error}");
    let options = [("columns", columns), ("ignore_errors", YES)];
    assert_eq!(
        read_text(b"1,2013-01-01\nx,2013-01-01\n3,2013-02-31\n4,\n", &options).unwrap(),
        ["1|2013-01-01", "4|∅"]
    );
}

#[test]
fn a_late_surprise_in_an_inferred_column_is_an_error_not_damage() {
    let folder = Folder::new(&[("x.csv", b"a\n1\n007\n")]);
    let mut spec = folder.spec("x.csv", &[]).unwrap();
    let field = spec.schema.field(0).clone().with_data_type(DataType::Int64);
    spec.schema = Arc::new(arrow::datatypes::Schema::new(vec![field]));
    let error = read(spec).unwrap_err();
    assert!(error.message().contains("column 'a': '007' is not a BIGINT"), "{error}");
    assert!(error.hint_text().unwrap().contains("changed meanwhile"), "{error}");
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    let folder = Folder::new(&[("x.csv", b"a,b\n1,caf\xe9\n2,x\n")]);
    assert_eq!(read(folder.spec("x.csv", &[]).unwrap()).unwrap(), ["1|café", "2|x"]);
    let spec = folder.spec("x.csv", &[("encoding", text("utf-8"))]).unwrap();
    let error = read(spec.clone()).unwrap_err();
    assert!(error.message().contains("line 2, byte 9, column 'b'") && error.message().contains("UTF-8"), "{error}");
    let request = ScanRequest {
        spec: Arc::new(spec),
        projection: vec![0],
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    assert_eq!(lines(&batches(&source(request, &context(1, 9)).unwrap()).unwrap()), ["1", "2"]);
    let utf16 = b"\xff\xfea\0\n\x001\0\n\0";
    assert_eq!(read_text(utf16, &[]).unwrap(), ["1"]);
    assert!(read_text(utf16, &[("encoding", text("utf-8"))]).unwrap_err().message().contains("UTF-16"));
    assert_eq!(read_text(b"a,b\n1,caf\xe9\n", &[("encoding", text("latin1"))]).unwrap(), ["1|café"]);
}

#[test]
fn files_that_are_not_what_their_name_says_are_named() {
    let hint = |data: &[u8]| read_text(data, &[]).unwrap_err().hint_text().unwrap_or_default().to_string();
    assert!(hint(&gzip(b"a,b\n1,2\n")).contains("compression => 'gzip'"));
    assert!(hint(b"PAR1\x15\x04").contains("read_parquet"));
    assert_eq!(read_text(&gzip(b"a,b\n1,2\n"), &[("compression", text("gzip"))]).unwrap(), ["1|2"]);
    let error = read_text(b"\"a\"x,b\n1,2\n", &[]).unwrap_err();
    assert!(error.message().contains("line 1: the quotes of the first record"), "{error}");
}

#[test]
fn a_small_sample_misses_what_all_rows_show_and_the_error_says_so() {
    let data: String = (0..50_000).map(|i| if i == 49_999 { "x\n".to_string() } else { format!("{i}\n") }).collect();
    let folder = Folder::new(&[("x.csv", data.as_bytes())]);
    for rows in [100, -1] {
        let spec = folder.spec("x.csv", &[("sample_size", OptionValue::Int(rows))]).unwrap();
        let expected = if rows < 0 { "column0 VARCHAR" } else { "column0 BIGINT" };
        assert_eq!(types(&spec), [expected], "{rows}");
        assert_eq!(read(spec).is_err(), rows > 0);
    }
}

#[test]
fn a_huge_field_comes_out_whole() {
    let huge = "ä\"\"\n,".repeat(700_000);
    let data = format!("a,b\n1,\"{huge}\"\n2,x\n");
    let rows = read_text(data.as_bytes(), &[]).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], format!("1|{}", huge.replace("\"\"", "\"")));
}

#[test]
fn a_huge_field_that_looks_like_records_comes_out_whole() {
    for line in ["x,y\n", "3,4\r\n"] {
        let huge = line.repeat(700_000);
        let data = format!("a,b\n{}1,\"{huge}\"\n2,z\n", "0,0\n".repeat(100_000));
        let rows = read_text(data.as_bytes(), &[]).unwrap();
        assert_eq!(rows.len(), 100_002);
        assert_eq!(rows[100_000], format!("1|{huge}"));
    }
}

#[test]
fn quotes_inside_of_unquoted_fields_are_plain_and_do_not_mislead_splits() {
    let row = |i: usize| if i.is_multiple_of(7) { format!("{i},\"x\n5\"\" y\"\n") } else { format!("{i},5\" pipe\n") };
    let data: String = (0..120_000).map(row).collect();
    let rows = read_text(data.as_bytes(), &[]).unwrap();
    assert_eq!(rows.len(), 120_000);
    assert_eq!(rows[119_999], "119999|5\" pipe");
    assert_eq!(rows[7], "7|x\n5\" y");
}

#[test]
fn a_tsv_has_tabs_even_where_commas_would_agree() {
    let folder = Folder::new(&[("x.tsv", b"a, b\nc, d\n")]);
    let spec = folder.spec("x.tsv", &[("header", OptionValue::Bool(false))]).unwrap();
    assert_eq!(read(spec).unwrap(), ["a, b", "c, d"]);
}

#[test]
fn little_memory_makes_batches_smaller() {
    let data: String = (0..20_000).map(|i| format!("{i},{}\n", "x".repeat(200))).collect();
    let folder = Folder::new(&[("x.csv", data.as_bytes())]);
    let budget = Budget::new(1_600_000);
    let (store, cancel) = (Store::new(budget.clone()), CancelToken::new());
    let tight = Arc::new(QueryContext { cancel, budget, store, batch_size: 20_000, threads: 1, side: None });
    let spec = Arc::new(folder.spec("x.csv", &[]).unwrap());
    let request = ScanRequest {
        spec,
        projection: vec![0, 1],
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    let all = batches(&source(request, &tight).unwrap()).unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert!(all.len() > 2, "{}", all.len());
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_read_and_cut_ones_are_errors() {
    let data: String =
        std::iter::once("a,b\n".to_string()).chain((0..300_000).map(|i| format!("{i},x{i}\n"))).collect();
    let (gz, zst) = (gzip(data.as_bytes()), zstd::encode_all(data.as_bytes(), 1).unwrap());
    let folder = Folder::new(&[("x.csv.gz", &gz), ("y.csv.zst", &zst), ("cut.csv.gz", &gz[..gz.len() / 2])]);
    for name in ["x.csv.gz", "y.csv.zst"] {
        let rows = read(folder.spec(name, &[]).unwrap()).unwrap();
        assert_eq!((rows.len(), rows[299_999].as_str()), (300_000, "299999|x299999"), "{name}");
    }
    let declared = [("columns", struct_of(&[("a", "BIGINT"), ("b", "VARCHAR")]))];
    let error = read(folder.spec("cut.csv.gz", &declared).unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
    assert!(error.message().contains("cut.csv.gz") && error.message().contains("byte"), "{error}");
    let bad = gzip(format!("{data}oops\n").as_bytes());
    let folder = Folder::new(&[("x.csv.gz", &bad)]);
    assert!(read(folder.spec("x.csv.gz", &[]).unwrap()).unwrap_err().message().contains("line 300002"));
}

#[test]
fn a_large_compressed_file_feeds_many_splits() {
    let mut data = String::from("\u{feff}# skipped \"\n\"id\",\"te,xt\"\r\n");
    let mut state = 1_u64;
    for row in 0..60_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match row % 5 {
            0 => data.push_str(&format!("{row},\"{state}\n{}, \"\"{}\"\"\"\r\n", state >> 7, state >> 9)),
            1 => data.push_str(&format!("{row},5\" {state}{}\n", state >> 13)),
            _ => data.push_str(&format!("{row},x{state}{}\n", state >> 11)),
        }
    }
    let bad = format!("{data}oops\n");
    let folder = Folder::new(&[
        ("x.csv", data.as_bytes()),
        ("x.csv.gz", &gzip(data.as_bytes())),
        ("x.csv.zst", &zstd::encode_all(data.as_bytes(), 1).unwrap()),
        ("bad.csv.gz", &gzip(bad.as_bytes())),
    ]);
    let options = [("skip", OptionValue::Int(1)), ("header", YES)];
    let expected = read(folder.spec("x.csv", &options).unwrap()).unwrap();
    assert_eq!(expected.len(), 60_000);
    for name in ["x.csv.gz", "x.csv.zst"] {
        let spec = folder.spec(name, &options).unwrap();
        let projection = vec![0, 1];
        let (filters, runtime_filters) = (Vec::new(), Vec::new());
        let request = ScanRequest {
            spec: Arc::new(spec),
            projection,
            filters,
            limit: None,
            runtime_filters,
            parts: Default::default(),
        };
        let source = source(request, &context(4, 1000)).unwrap();
        assert!(source.split_count() > 3);
        assert!(lines(&batches(&source).unwrap()) == expected);
    }
    let error = read(folder.spec("bad.csv.gz", &options).unwrap()).unwrap_err();
    let line = bad.matches('\n').count();
    assert!(error.message().contains(&format!("line {line}")) && error.message().contains("bad.csv.gz"), "{error}");
}

#[test]
fn columns_are_matched_by_header_names() {
    let folder = Folder::new(&[("1.csv", b"a,b\n1,x\n"), ("2.csv", b"B,A\ny,2\n"), ("3.csv", b"c,a\n2013-01-01,3\n")]);
    assert_eq!(read(folder.spec("[12].csv", &[]).unwrap()).unwrap(), ["1|x", "2|y"]);
    let error = folder.spec("*.csv", &[]).unwrap_err();
    assert!(error.message().contains("1.csv") && error.message().contains("3.csv"), "{error}");
    let union = folder.spec("*.csv", &[("union_by_name", YES)]).unwrap();
    assert_eq!(types(&union), ["a BIGINT", "b VARCHAR", "c DATE"]);
    assert_eq!(read(union).unwrap(), ["1|x|∅", "2|y|∅", "3|∅|2013-01-01"]);
    let folder = Folder::new(&[("1.csv", b"1,2\n"), ("2.csv", b"1,2,3\n")]);
    assert!(folder.spec("*.csv", &[]).unwrap_err().message().contains("2.csv"));
}

#[test]
fn folders_and_file_names_become_columns() {
    let folder =
        Folder::new(&[("year=2013/m=01/x.csv", b"a,year\n1,99\n"), ("year=2014/m=02/x.csv", b"a,year\n2,99\n")]);
    let spec = folder.spec("**/*.csv", &[("filename", text("path"))]).unwrap();
    assert_eq!(types(&spec), ["a BIGINT", "path VARCHAR", "year BIGINT", "m VARCHAR"]);
    assert_eq!(read(spec.clone()).unwrap()[1], format!("2|{}|2014|02", folder.path("year=2014/m=02/x.csv")));
    let scan = |projection: &[usize], filters: Vec<Expr>| {
        let spec = Arc::new(spec.clone());
        let request = ScanRequest {
            spec,
            projection: projection.to_vec(),
            filters,
            limit: None,
            runtime_filters: Vec::new(),
            parts: Default::default(),
        };
        source(request, &context(1, 10)).unwrap()
    };
    let pruned = scan(&[2, 0], vec![col("year").gt(lit(2013i64))]);
    assert_eq!(lines(&batches(&pruned).unwrap()), ["2014|2"]);
    assert!(pruned.describe().contains("1 of 2 files, 2 columns"), "{}", pruned.describe());
    assert_eq!(lines(&batches(&scan(&[3], Vec::new())).unwrap()), ["01", "02"]);
    let counted: usize = batches(&scan(&[], Vec::new())).unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(counted, 2);
    let plain = folder.spec("**/*.csv", &[("hive_partitioning", OptionValue::Bool(false))]).unwrap();
    assert_eq!(types(&plain), ["a BIGINT", "year BIGINT"]);
}

#[test]
fn a_limit_ends_a_split_early_and_cancelling_ends_it_at_once() {
    let folder = Folder::new(&[("y.csv", "1\n".repeat(50_000).as_bytes())]);
    let spec = Arc::new(folder.spec("y.csv", &[]).unwrap());
    let request = ScanRequest {
        spec,
        projection: vec![0],
        filters: Vec::new(),
        limit: Some(7),
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    let rows: usize =
        batches(&source(request.clone(), &context(1, 5)).unwrap()).unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 7);
    let context = context(1, 5);
    let cancelled = source(request, &context).unwrap();
    context.cancel.cancel();
    assert_eq!(batches(&cancelled).unwrap_err().code(), Code::Cancelled);
}

#[test]
fn memory_is_reserved_and_given_back() {
    let folder = Folder::new(&[("x.csv", "abc,1\n".repeat(50_000).as_bytes())]);
    let context = context(1, 8192);
    let spec = Arc::new(folder.spec("x.csv", &[]).unwrap());
    let request = ScanRequest {
        spec,
        projection: vec![0, 1],
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    let source = source(request.clone(), &context).unwrap();
    let mut split = source.open(0).unwrap();
    split.next().unwrap();
    assert!(context.budget.used() > window::WINDOW_BYTES);
    drop(split);
    assert_eq!(context.budget.used(), 0);
}

/// Reads the file cut at these places, each split on its own, in this order of opening.
fn read_cut(path: &str, spec: &ScanSpec, cuts: Vec<u64>, backwards: bool) -> Result<Vec<String>> {
    super::read_cut(path, spec, cuts, backwards, &context(1, 100)).map(|batches| lines(&batches))
}

fn every_cut_agrees(data: &[u8], options: &[(&str, OptionValue)]) {
    let folder = Folder::new(&[("x.csv", data)]);
    let spec = folder.spec("x.csv", options).unwrap();
    let path = folder.path("x.csv");
    let whole = read_cut(&path, &spec, vec![0], false).unwrap();
    let size = data.len() as u64;
    for cut in 1..size {
        let rows = read_cut(&path, &spec, vec![0, cut], cut % 2 == 0);
        assert_eq!(
            rows.as_ref().ok(),
            Some(&whole),
            "cut at {cut} of {:?}: {:?}",
            String::from_utf8_lossy(data),
            rows.as_ref().err()
        );
    }
    let rows = read_cut(&path, &spec, (0..size).collect(), true).unwrap();
    assert_eq!(rows, whole, "cut everywhere: {:?}", String::from_utf8_lossy(data));
}

#[test]
fn every_cut_gives_the_same_rows() {
    every_cut_agrees(b"a,b\n1,2\n3,4\n5,6", &[]);
    every_cut_agrees(b"\xef\xbb\xbfa,b\r\n\"x\r\ny\",\"\"\"\"\r\n\r\n\"\",\",\"\r\n", &[]);
    every_cut_agrees(b"a,b\n\"1,2\n3,4\n5,6\n\",7\n\"\"\"\n\"\"\",\"\"\n", &[]);
    every_cut_agrees(b"v\n\n\"\n\n\"\n\n", &[]);
    every_cut_agrees(b"a,b\n'x\\'\n',y\n'\\\\',''\n", &[("quote", text("'")), ("escape", text("\\"))]);
    every_cut_agrees(b"5\" pipe,x\n6\" pipe,\"y\nz\"\n", &[("header", OptionValue::Bool(false))]);
    every_cut_agrees(b"a,b\n# don't \"\n1,2\n#\n# x,\"y\n3,\"4\n# 5\"\n", &[("comment", text("#"))]);
    every_cut_agrees(b"a||b\n1||\"x||\n\"\n|2|||y|\n||\"||\"\n\"z\n\"||", &[("delim", text("||"))]);
    every_cut_agrees(b"a,b\n \"x,\n1\" ,2\n\"y\",   \"z\n\"  \n  u , v\n", &[]);
    every_cut_agrees(b"skip \"\nme\na;b\n1;\"2\n\"\n", &[("skip", OptionValue::Int(2))]);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    /// A dialect: delimiter, quote, escape, line end.
    type Writing = (char, char, char, &'static str);

    fn writing() -> impl Strategy<Value = Writing> {
        let delimiter = prop::sample::select(vec![',', ';', '\t', '|']);
        let quoting = prop::sample::select(vec![('"', '"'), ('\'', '\''), ('"', '\\')]);
        let end = prop::sample::select(vec!["\n", "\r\n"]);
        (delimiter, quoting, end).prop_map(|(delimiter, (quote, escape), end)| (delimiter, quote, escape, end))
    }

    /// A value, and whether it is written in quotes where it need not be.
    fn value() -> impl Strategy<Value = (String, bool)> {
        let text = prop_oneof![
            3 => "[a-c0-9é]{0,4}",
            2 => "[ab,;|\t'\"\\\\\n\r]{0,6}",
            1 => Just("x,y\nz,w\n".to_string()),
            1 => Just("\"\n\"\n".to_string()),
        ];
        (text, prop::bool::ANY)
    }

    fn file() -> impl Strategy<Value = (Writing, Vec<Vec<(String, bool)>>, bool)> {
        let rows =
            (2..4usize).prop_flat_map(|columns| prop::collection::vec(prop::collection::vec(value(), columns), 1..8));
        (writing(), rows, prop::bool::ANY)
    }

    /// The rows as text.
    fn written((delimiter, quote, escape, end): Writing, rows: &[Vec<(String, bool)>], last: bool) -> String {
        let field = |(text, quoted): &(String, bool)| {
            let special = |character| [delimiter, quote, escape, '\n', '\r'].contains(&character);
            if !quoted && !text.chars().any(special) {
                return text.clone();
            }
            let mut field = String::from(quote);
            for character in text.chars() {
                if character == quote || character == escape {
                    field.push(escape);
                }
                field.push(character);
            }
            field.push(quote);
            field
        };
        let join = delimiter.to_string();
        let lines: Vec<_> = rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(&join)).collect();
        format!("{}{}", lines.join(end), if last { end } else { "" })
    }

    /// The rows as they are to be read: empty texts without quotes are NULL.
    fn expected(rows: &[Vec<(String, bool)>]) -> Vec<String> {
        let shown = |(text, quoted): &(String, bool)| match text.is_empty() && !quoted {
            true => "∅".to_string(),
            false => text.clone(),
        };
        rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

        #[test]
        fn any_well_formed_file_reads_as_it_was_written_at_every_cut((dialect, rows, last) in file()) {
            let data = written(dialect, &rows, last);
            let (delimiter, quote, escape, _) = dialect;
            let options = [
                ("header", OptionValue::Bool(false)),
                ("delim", text(&delimiter.to_string())),
                ("quote", text(&quote.to_string())),
                ("escape", text(&escape.to_string())),
                ("new_line", text("\n")),
                ("comment", text("")),
                ("skip", OptionValue::Int(0)),
                ("all_varchar", YES),
            ];
            let folder = Folder::new(&[("x.csv", data.as_bytes())]);
            let whole = read_cut(&folder.path("x.csv"), &folder.spec("x.csv", &options).unwrap(), vec![0], false).unwrap();
            prop_assert_eq!(whole, expected(&rows), "{:?}", data);
            every_cut_agrees(data.as_bytes(), &options);
        }
    }
}

#[test]
fn splits_of_a_larger_file_agree_with_reading_it_in_one_go() {
    let mut data = String::from("n,text\n");
    for row in 0..120_000 {
        let quoted = if row % 3 == 0 { "\"a,\n\"\"b\"\"\n\"" } else { "plain" };
        data.push_str(&format!("{row},{quoted}\n"));
    }
    let folder = Folder::new(&[("x.csv", data.as_bytes())]);
    let spec = folder.spec("x.csv", &[]).unwrap();
    let request = ScanRequest {
        spec: Arc::new(spec),
        projection: vec![0],
        filters: Vec::new(),
        limit: None,
        runtime_filters: Vec::new(),
        parts: Default::default(),
    };
    let source = source(request, &context(2, 8192)).unwrap();
    assert!(source.split_count() >= 4);
    let expected: Vec<_> = (0..120_000).map(|row| row.to_string()).collect();
    assert_eq!(lines(&batches(&source).unwrap()), expected);
}

/// How a file of this text is read: whether many of its records are found at once, and how many splits have rows.
fn way_of_reading(data: &[u8]) -> (bool, usize) {
    let folder = Folder::new(&[("x.csv", data)]);
    let spec = folder.spec("x.csv", &[]).unwrap();
    let settings = Settings::new(&spec.options).unwrap();
    let head = Head::open(&folder.path("x.csv").into(), &settings).unwrap();
    let tokenizer = Tokenizer::new(head.record_dialect(), settings.rules, head.columns, &[0]);
    let (spec, projection, filters, runtime_filters) = (Arc::new(spec), vec![0], Vec::new(), Vec::new());
    let request = ScanRequest { spec, projection, filters, limit: None, runtime_filters, parts: Default::default() };
    let source = source(request, &context(2, 8192)).unwrap();
    let has_rows = |index: &usize| source.open(*index).unwrap().next().unwrap().is_some();
    (tokenizer.finds_many(), (0..source.split_count()).filter(has_rows).count())
}

/// A header and so many records that the file is cut.
fn long_csv(header: &str, record: &str, end: &str) -> String {
    let records = (0..(2 << 20) / (record.len() + 6)).map(|row| format!("{row},{record}{end}"));
    std::iter::once(format!("{header}{end}")).chain(records).collect()
}

#[test]
fn usual_files_are_read_fast_by_all_workers() {
    let orders = "n,key,comment,ship,price";
    let order = "1,\"carefully final, ironic \"\"deposits\"\" , \",\" REG AIR, \",17954.55";
    let usual = [
        long_csv(orders, order, "\n"),
        long_csv(orders, order, "\r\n"),
        long_csv("n,a,b", "x y,\"z, \"", "\n").replace(',', "\t"),
        long_csv("n,a,b", "it's 5\" long,2013-01-01T10:00:00Z", "\n").replace(',', "|"),
        long_csv("n,a", "\" # no comment\"", "\n"),
        long_csv("n,a", "# nor here", "\n"),
    ];
    for data in usual {
        let (many, splits) = way_of_reading(data.as_bytes());
        assert!(many && splits >= 4, "{many} {splits}: {:?}", &data[..200]);
    }
    for name in ["planes.csv", "airports.csv", "weather.csv", "airlines.csv"] {
        let data = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)).unwrap();
        assert!(way_of_reading(&data).0, "{name}");
    }
}

#[test]
fn comments_and_spaces_around_quotes_keep_no_worker_out() {
    let (many, splits) = way_of_reading(long_csv("n,a", "\"x, y\"\n# don't \"say", "\n").as_bytes());
    assert!(many && splits >= 4, "{many} {splits}");
    let (_, splits) = way_of_reading(long_csv("n,a", " \"x, y\" ", "\n").as_bytes());
    assert!(splits >= 4, "{splits}");
}

#[test]
fn unknown_options_and_missing_files_are_said_so() {
    let folder = Folder::new(&[("x.csv", b"a\n1\n")]);
    let error = folder.spec("x.csv", &[("hedaer", YES)]).unwrap_err();
    assert_eq!((error.code(), error.hint_text()), (Code::UnknownSetting, Some("did you mean header?")));
    assert_eq!(folder.spec("z*.csv", &[]).unwrap_err().code(), Code::FileNotFound);
    assert!(Path::new(&folder.path("x.csv")).exists());
}
