//! MERGE INTO: rows of a table that match rows of a source change or go, and rows of the source without a match come.
//!
//! Invariant: both parts see the table as it was, and it changes when both are there.

use super::change::{rewritten, table_of};
use super::insert::inserted;
use super::returning::changed_rows;
use crate::error::Result;
use crate::session::rows::store_rows;
use crate::session::sql::merges::Merge;
use crate::session::{DataFrame, Session};

/// Runs a MERGE: the answer is the number of rows that changed, went or came.
pub(super) fn merge(session: &Session, merge: &Merge) -> Result<DataFrame> {
    let table = table_of(session, &merge.table, merge.span, "MERGE INTO")?;
    let _changing = table.changing();
    let mut rows = table.rows();
    let mut count = 0;
    let new = match &merge.insert {
        Some(insert) => {
            let (_, frame) = inserted(session, insert)?;
            Some(store_rows(frame.stream()?, &table.schema, session.engine().store())?)
        }
        None => None,
    };
    if let Some(change) = &merge.change {
        let rewritten = rewritten(session, change, &table, true)?;
        count += rewritten.count;
        rows = rewritten.rows;
    }
    if let Some(new) = new {
        count += new.rows();
        rows = rows.followed_by(&new);
    }
    let answer = changed_rows(session, count)?;
    table.replace(rows);
    Ok(answer)
}
