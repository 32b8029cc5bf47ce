//! Statements of other engines that have no meaning in floe: one clear error each, and what to do instead.

use crate::error::{Code, Error, Result};
use crate::session::sql::words::Words;

/// How a statement begins, what it is about, what to do instead.
type Refusal = (&'static str, &'static str, &'static str);

const TRANSACTION: &str = "every statement is done wholly or not at all: leave BEGIN and COMMIT out";
const INDEX: &str = "a scan reads what a query needs only, by statistics and by the keys of joins: leave the index out";
const NOTHING_TO_DO: &str = "there is nothing to do by hand: leave the statement out";
const NO_EXTENSIONS: &str = "what floe can do is built in: leave the statement out";
const FILES: &str =
    "tables live as long as the session: read files with FROM 'file.parquet', and keep results with COPY … TO";
const SEQUENCE: &str = "number rows with row_number() OVER () or with range";
const NO_USERS: &str = "whoever can run floe can read the files that the process can read";

const REFUSALS: [Refusal; 45] = [
    ("BEGIN", "a transaction", TRANSACTION),
    ("START TRANSACTION", "a transaction", TRANSACTION),
    ("COMMIT", "a transaction", TRANSACTION),
    ("ROLLBACK", "a transaction", TRANSACTION),
    ("ABORT", "a transaction", TRANSACTION),
    ("END", "a transaction", TRANSACTION),
    ("SAVEPOINT", "a transaction", TRANSACTION),
    ("RELEASE", "a transaction", TRANSACTION),
    ("CREATE INDEX", "an index", INDEX),
    ("CREATE UNIQUE INDEX", "an index", INDEX),
    ("DROP INDEX", "an index", INDEX),
    ("ALTER INDEX", "an index", INDEX),
    ("CREATE SEQUENCE", "a sequence", SEQUENCE),
    ("CREATE TEMP SEQUENCE", "a sequence", SEQUENCE),
    ("CREATE TEMPORARY SEQUENCE", "a sequence", SEQUENCE),
    ("CREATE OR REPLACE SEQUENCE", "a sequence", SEQUENCE),
    ("DROP SEQUENCE", "a sequence", SEQUENCE),
    ("ALTER SEQUENCE", "a sequence", SEQUENCE),
    ("CREATE TRIGGER", "a trigger", "run the statements one after another"),
    ("CREATE OR REPLACE TRIGGER", "a trigger", "run the statements one after another"),
    ("DROP TRIGGER", "a trigger", "run the statements one after another"),
    ("ATTACH", "a database file", FILES),
    ("DETACH", "a database file", FILES),
    ("CREATE DATABASE", "a database file", FILES),
    ("CHECKPOINT", "CHECKPOINT", NOTHING_TO_DO),
    ("FORCE CHECKPOINT", "CHECKPOINT", NOTHING_TO_DO),
    ("VACUUM", "VACUUM", NOTHING_TO_DO),
    ("ANALYZE", "ANALYZE", NOTHING_TO_DO),
    ("REINDEX", "REINDEX", NOTHING_TO_DO),
    ("INSTALL", "an extension", NO_EXTENSIONS),
    ("FORCE INSTALL", "an extension", NO_EXTENSIONS),
    ("LOAD", "an extension", NO_EXTENSIONS),
    ("UPDATE EXTENSIONS", "an extension", NO_EXTENSIONS),
    ("CREATE EXTENSION", "an extension", NO_EXTENSIONS),
    ("REPLACE", "REPLACE INTO", "tables have no keys: DELETE the rows that are there first"),
    ("GRANT", "GRANT", NO_USERS),
    ("REVOKE", "REVOKE", NO_USERS),
    ("CREATE USER", "a user", NO_USERS),
    ("CREATE ROLE", "a role", NO_USERS),
    (
        "CREATE MATERIALIZED VIEW",
        "a materialized view",
        "write CREATE TABLE … AS, and do it again when the data changed",
    ),
    ("CREATE UNLOGGED TABLE", "an unlogged table", "leave UNLOGGED out: no table is logged"),
    ("CREATE OR REPLACE SCHEMA", "CREATE OR REPLACE SCHEMA", "write DROP SCHEMA … CASCADE first"),
    ("ALTER SCHEMA", "ALTER SCHEMA", "make another schema and rename its tables"),
    ("ALTER TYPE", "ALTER TYPE", "write CREATE OR REPLACE TYPE"),
    ("ALTER DATABASE", "a database file", FILES),
];

/// The error for one of these statements.
pub(super) fn check(words: &Words) -> Result<()> {
    let begins = |(begin, _, _): &&Refusal| words.clone().accept(begin);
    match REFUSALS.iter().find(begins) {
        None => Ok(()),
        Some((begin, what, hint)) => {
            let message = if begin.ends_with(what) || what.starts_with(begin) {
                format!("floe does not do {what}")
            } else {
                format!("{begin}: floe does not have {what}")
            };
            let place = words.span();
            Err(Error::new(Code::NotSupported, message).span(place).hint(*hint))
        }
    }
}
