//! Claims about single records.

use super::*;
use crate::scan::csv::dialect::Tail;

fn rows(dialect: Dialect, columns: usize, data: &[u8]) -> Result<Vec<Vec<String>>, BadRecord> {
    let wanted: Vec<usize> = (0..columns).collect();
    let tokenizer = Tokenizer::new(dialect, Rules::default(), columns, &wanted);
    let mut tile = Tile::default();
    let bounds = Bounds { from: 0, stop: usize::MAX, max_rows: usize::MAX, at_end: true };
    tokenizer.read(data, bounds, &mut tile);
    match tile.bad {
        Some(bad) => Err(bad),
        None => Ok(tile
            .fields
            .chunks(columns)
            .map(|row| row.iter().map(|field| text(&dialect, data, *field)).collect())
            .collect()),
    }
}

fn text(dialect: &Dialect, data: &[u8], field: Field) -> String {
    String::from_utf8(dialect.unescaped(&data[field.start()..field.end()], field.escaped()).into_owned()).unwrap()
}

#[test]
fn fields_come_out_as_rfc_4180_says() {
    let data = b"a,\"b,\"\"x\"\"\r\n\",\r\n,\"\",12345678901\n\r\n\nlast,one,\xc3\xa9";
    let expected = [["a", "b,\"x\"\r\n", ""], ["", "", "12345678901"], ["last", "one", "é"]];
    assert_eq!(rows(Dialect::default(), 3, data).unwrap(), expected);
    assert_eq!(rows(Dialect::default(), 2, b"a,5\" pipe\nb,").unwrap(), [["a", "5\" pipe"], ["b", ""]]);
}

#[test]
fn other_dialects_are_other_characters() {
    let dialect = Dialect {
        delimiter: b'\t',
        quote: Some(b'\''),
        escape: Some(b'\\'),
        comment: Some(b'#'),
        ..Dialect::default()
    };
    let data = b"# don't\n'it\\'s\t\\\\'\t\"x\"\n#\n";
    assert_eq!(rows(dialect, 2, data).unwrap(), [["it's\t\\", "\"x\""]]);
    let mac = Dialect { newline: b'\r', ..Dialect::default() };
    assert_eq!(rows(mac, 2, b"a,b\rc,\"d\re\"\r").unwrap(), [["a", "b"], ["c", "d\re"]]);
    let plain = Dialect { quote: None, ..Dialect::default() };
    assert_eq!(rows(plain, 2, b"\"a,b\"\n").unwrap(), [["\"a", "b\""]]);
}

#[test]
fn a_delimiter_may_have_several_bytes() {
    let dialect = Dialect { delimiter: b'|', tail: Tail::new(b"|").unwrap(), ..Dialect::default() };
    let data = b"a|b||c\n\"d||\"||e|\n||\n";
    assert_eq!(rows(dialect, 2, data).unwrap(), [["a|b", "c"], ["d||", "e|"], ["", ""]]);
    assert_eq!(rows(dialect, 2, b"\"a\"|b||c").unwrap_err().flaw, Flaw::AfterQuote);
    let tokenizer = Tokenizer::new(dialect, Rules::default(), 2, &[1, 0]);
    for cut in 0..data.len() {
        let mut tile = Tile::default();
        let bounds = Bounds { from: 0, stop: usize::MAX, max_rows: usize::MAX, at_end: false };
        tokenizer.read(&data[..cut], bounds, &mut tile);
        assert!(tile.bad.is_none() && [0, 7, 17].contains(&tile.consumed), "{cut}: {}", tile.consumed);
    }
}

#[test]
fn flaws_are_told_apart() {
    let flaw = |data: &[u8]| rows(Dialect::default(), 2, data).unwrap_err();
    assert_eq!(flaw(b"a,b\nc\n"), BadRecord { start: 4, end: 6, at: 4, flaw: Flaw::Columns(1) });
    assert_eq!(flaw(b"a,\"b\"x\nc,d"), BadRecord { start: 0, end: 7, at: 5, flaw: Flaw::AfterQuote });
    assert_eq!(flaw(b"a,\"b\nc,d"), BadRecord { start: 0, end: 5, at: 2, flaw: Flaw::OpenQuote });
}

#[test]
fn rules_let_records_pass() {
    let read = |rules: Rules, data: &[u8]| {
        let tokenizer = Tokenizer::new(Dialect::default(), rules, 2, &[0, 1]);
        let mut tile = Tile::default();
        tokenizer.read(data, Bounds { from: 0, stop: usize::MAX, max_rows: 99, at_end: true }, &mut tile);
        let shown = |field: &Field| match field.is_absent() {
            true => "∅".to_string(),
            false => text(&Dialect::default(), data, *field),
        };
        (tile.fields.iter().map(shown).collect::<Vec<_>>(), tile.bad.map(|bad| bad.flaw))
    };
    let pads = Rules { pads: true, ..Rules::default() };
    assert_eq!(read(pads, b"a\nb,\"\"\n"), (["a", "∅", "b", ""].map(str::to_string).to_vec(), None));
    assert_eq!(read(pads, b"a,b,c\n").1, Some(Flaw::Columns(3)));
    let lenient = Rules { lenient: true, ..Rules::default() };
    let found = read(lenient, b"a,\"b,\"c\n\"d\"x,e,f\ng,\"h\n").0;
    assert_eq!(found, ["a", "\"b,\"c", "\"d\"x", "e", "g", "\"h"]);
    let short = Rules { longest: 5, ..Rules::default() };
    assert_eq!(read(short, b"a,bb\na,bbb\n").1, Some(Flaw::Size(6)));
}

#[test]
fn spaces_may_stand_around_quotes() {
    let spaced = Dialect { spaced: true, ..Dialect::default() };
    let data = b" \"x,1\" ,2\n\"y\",  \"z\"  \r\n  a , b\"\n";
    assert_eq!(rows(spaced, 2, data).unwrap(), [["x,1", "2"], ["y", "z"], ["  a ", " b\""]]);
}

#[test]
fn a_blank_line_is_a_value_where_there_is_one_column() {
    let one = Dialect { blank_is_record: true, ..Dialect::default() };
    assert_eq!(rows(one, 1, b"a\n\r\nb\n").unwrap(), [["a"], [""], ["b"]]);
    assert_eq!(rows(Dialect::default(), 1, b"a\n\nb\n").unwrap().len(), 2);
}

#[test]
fn a_window_that_ends_early_leaves_the_record_for_the_next() {
    let data = b"a,b\r\n\"c\"\"\",\"d\ne\"\r\nf,g\r\n";
    let tokenizer = Tokenizer::new(Dialect::default(), Rules::default(), 2, &[1, 0]);
    for cut in 0..data.len() {
        let mut tile = Tile::default();
        let bounds = Bounds { from: 0, stop: usize::MAX, max_rows: usize::MAX, at_end: false };
        tokenizer.read(&data[..cut], bounds, &mut tile);
        assert!(tile.bad.is_none(), "{cut}");
        assert!([0, 5, 18].contains(&tile.consumed), "{cut}: {}", tile.consumed);
        assert_eq!(tile.fields.len(), 2 * tile.rows);
    }
}

#[test]
fn only_wanted_fields_are_kept_in_their_order() {
    let tokenizer = Tokenizer::new(Dialect::default(), Rules::default(), 4, &[3, 1]);
    let mut tile = Tile::default();
    let data = b"a,b,c,d\ne,f,g,h\n";
    tokenizer.read(data, Bounds { from: 0, stop: 8, max_rows: 9, at_end: true }, &mut tile);
    assert_eq!((tile.rows, tile.consumed), (1, 8));
    let texts: Vec<_> = tile.fields.iter().map(|field| &data[field.start()..field.end()]).collect();
    assert_eq!(texts, [b"d", b"b"]);
}
