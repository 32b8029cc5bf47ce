//! `rank(ORDER BY a) OVER (PARTITION BY b)`, which the parser does not read: the order of a function without arguments is that of
//! its window.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::words::{Words, solid};
use crate::error::{Error, Result};

/// Puts the ORDER BY of such calls into the windows behind them.
///
/// # Errors
/// `NOT_SUPPORTED` where the window is named, or has an order or a frame of its own.
pub(super) fn take(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let begins =
        |pair: &[&TokenWithSpan]| matches!(pair, [open, order] if open.token == Token::LParen && is_order(order));
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    if !words.windows(2).any(begins) {
        return Ok(tokens);
    }
    let mut words = solid(tokens);
    let mut at = 0;
    while at + 2 < words.len() {
        let is_call = matches!(words.get(at).map(|token| &token.token), Some(Token::Word(word)) if word.keyword != Keyword::OVER)
            && words.get(at + 1..at + 3).is_some_and(|pair| begins(&pair.iter().collect::<Vec<_>>()));
        if is_call {
            move_order(&mut words, at + 1)?;
        }
        at += 1;
    }
    Ok(words)
}

fn is_order(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.keyword == Keyword::ORDER)
}

/// Moves what stands in the parentheses at `open` to the end of those behind OVER.
fn move_order(words: &mut Vec<TokenWithSpan>, open: usize) -> Result<()> {
    let mut call = Words::new(words.get(open..).unwrap_or_default());
    let order = call.parenthesised()?.to_vec();
    let close = words.len() - call.rest().len() - 1;
    if call.peek() != "OVER" {
        return Ok(());
    }
    let span = call.span();
    call.expect("OVER")?;
    let refused = || {
        let error = Error::not_supported("an order within the call beside one of the window, or a window with a name")
            .span(span);
        error.hint("write the order into the window: rank() OVER (PARTITION BY … ORDER BY …)")
    };
    let mut window = Words::new(call.parenthesised().map_err(|_| refused())?);
    window.until(&["ORDER", "ROWS", "RANGE", "GROUPS"]);
    if !window.is_empty() {
        return Err(refused());
    }
    let end = words.len() - call.rest().len() - 1;
    words.splice(end..end, order);
    words.drain(open + 1..close);
    Ok(())
}
