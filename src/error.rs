//! The one error type: a stable code, one sentence, where it happened, and what to try.
//!
//! Invariant: an error is a value to the end. The first one wins; each layer adds its context once (operator, file,
//! row, column) and never rewrites the code.

mod names;
mod sentences;

use std::fmt;

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use parquet::errors::ParquetError;

pub(crate) use names::in_types_of_sql;
pub(crate) use sentences::known as known_sentence;
use sentences::told;

/// The result of everything in floe that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of failure an error is. The text forms are stable: programs may match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The SQL text is not a statement.
    Syntax,
    /// A table, view or file of that name is not known.
    UnknownTable,
    /// No column of that name is in scope, or more than one is.
    UnknownColumn,
    /// No function of that name and those argument types.
    UnknownFunction,
    /// No setting or reader option of that name.
    UnknownSetting,
    /// A setting or reader option has a value it cannot take.
    InvalidSetting,
    /// The statement is well formed but means nothing (types, grouping, arity).
    InvalidQuery,
    /// The statement is understood but not built yet.
    NotSupported,
    /// A name is taken already.
    AlreadyExists,
    /// A glob without a match, or a path that is not there.
    FileNotFound,
    /// The operating system or the object store refused.
    Io,
    /// A file holds what its format or its declared types do not allow.
    InvalidData,
    /// An integer or decimal result does not fit its type.
    Overflow,
    /// A value cannot be converted to the asked type.
    InvalidCast,
    /// Division of an integer or decimal by zero.
    DivisionByZero,
    /// The memory limit leaves no room even after everything that can wait was written to disk.
    OutOfMemory,
    /// The spill directory is full, unwritable or over its cap.
    SpillFailed,
    /// The caller cancelled the query.
    Cancelled,
    /// A defect of floe.
    Internal,
}

impl Code {
    /// The stable text form, as the machine protocol prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Syntax => "SYNTAX_ERROR",
            Code::UnknownTable => "UNKNOWN_TABLE",
            Code::UnknownColumn => "UNKNOWN_COLUMN",
            Code::UnknownFunction => "UNKNOWN_FUNCTION",
            Code::UnknownSetting => "UNKNOWN_SETTING",
            Code::InvalidSetting => "INVALID_SETTING",
            Code::InvalidQuery => "INVALID_QUERY",
            Code::NotSupported => "NOT_SUPPORTED",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::FileNotFound => "FILE_NOT_FOUND",
            Code::Io => "IO_ERROR",
            Code::InvalidData => "INVALID_DATA",
            Code::Overflow => "OVERFLOW",
            Code::InvalidCast => "INVALID_CAST",
            Code::DivisionByZero => "DIVISION_BY_ZERO",
            Code::OutOfMemory => "OUT_OF_MEMORY",
            Code::SpillFailed => "SPILL_FAILED",
            Code::Cancelled => "CANCELLED",
            Code::Internal => "INTERNAL_ERROR",
        }
    }
}

/// A place in SQL text: line and column from 1, length in characters (0 when unknown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub line: u64,
    pub column: u64,
    pub length: u64,
}

/// An error with a stable [`Code`], a sentence, and optionally context, a SQL span and a hint.
///
/// ```
/// use floe::error::{Code, Error};
/// let error = Error::new(Code::FileNotFound, "no file matches 'logs/*.csv'")
///     .hint("globs are relative to the working directory");
/// assert_eq!(error.code(), Code::FileNotFound);
/// assert!(error.to_string().starts_with("FILE_NOT_FOUND: no file matches"));
/// ```
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    message: String,
    context: Vec<String>,
    span: Option<Span>,
    excerpt: Option<String>,
    hint: Option<String>,
    of_inferred_type: bool,
    function: Option<&'static str>,
}

impl Error {
    /// A new error of class `code` with one sentence `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let (context, span, excerpt, hint) = (Vec::new(), None, None, None);
        Error(Box::new(Inner { code, message, context, span, excerpt, hint, of_inferred_type: false, function: None }))
    }

    /// A defect of floe: something that its own invariants rule out.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Code::Internal, message).hint("this is a defect of floe; please report it with the statement")
    }

    /// Something that parses and is understood, but that floe does not do yet.
    pub fn not_supported(what: impl fmt::Display) -> Self {
        Error::new(Code::NotSupported, format!("{what} is not supported yet"))
    }

    /// The query was cancelled.
    pub fn cancelled() -> Self {
        Error::new(Code::Cancelled, "the query was cancelled")
    }

    /// Marks the error of a value that does not fit a type which was inferred from a sample.
    #[must_use]
    pub(crate) fn of_inferred_type(mut self) -> Self {
        self.0.of_inferred_type = true;
        self
    }

    /// The same where no other type can be inferred any more.
    #[must_use]
    pub(crate) fn of_final_type(mut self) -> Self {
        self.0.of_inferred_type = false;
        self
    }

    /// Whether a value does not fit a type which was inferred: with another type the statement may succeed.
    pub(crate) fn is_of_inferred_type(&self) -> bool {
        self.0.of_inferred_type
    }

    /// Says which function has raised it; the first one stays.
    #[must_use]
    pub(crate) fn of_function(mut self, name: &'static str) -> Self {
        self.0.function.get_or_insert(name);
        self
    }

    /// The function that has raised it, when known.
    pub(crate) fn function(&self) -> Option<&'static str> {
        self.0.function
    }

    /// Adds where it happened, innermost first: an operator, a file, a row.
    #[must_use]
    pub fn context(mut self, place: impl Into<String>) -> Self {
        self.0.context.push(place.into());
        self
    }

    /// Sets what the user can try; the first hint stays.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds to what to try.
    #[must_use]
    pub fn further_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.0.hint = Some(match self.0.hint.take() {
            Some(first) => format!("{first}; {hint}"),
            None => hint,
        });
        self
    }

    /// Sets the place in the SQL text; the first one stays.
    #[must_use]
    pub fn span(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    /// Sets the lines of the statement that show the place; the first ones stay.
    #[must_use]
    pub fn excerpt(mut self, lines: impl Into<String>) -> Self {
        self.0.excerpt.get_or_insert_with(|| lines.into());
        self
    }

    /// Moves the place in the SQL text, for a statement that does not begin its script.
    #[must_use]
    pub fn relocate(mut self, place: impl FnOnce(Span) -> Span) -> Self {
        self.0.span = self.0.span.map(place);
        self
    }

    /// The class of the failure.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence alone, without code, context and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the SQL text, when known.
    pub fn sql_span(&self) -> Option<Span> {
        self.0.span
    }

    /// The line of the statement and carets under the place, when known.
    pub fn excerpt_text(&self) -> Option<&str> {
        self.0.excerpt.as_deref()
    }

    /// What to try, when known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The sentence with its context, without the code and the hint.
    pub fn full_message(&self) -> String {
        let mut text = self.0.message.clone();
        for place in &self.0.context {
            text.push_str("; in ");
            text.push_str(place);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.full_message())?;
        if let Some(excerpt) = &self.0.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ArithmeticOverflow(text) => Error::new(Code::Overflow, text),
            ArrowError::DivideByZero => Error::new(Code::DivisionByZero, "division by zero"),
            ArrowError::CastError(text) | ArrowError::ParseError(text) => told(Code::InvalidCast, &text),
            ArrowError::NotYetImplemented(text) => told(Code::NotSupported, &text),
            ArrowError::ComputeError(text) => told(Code::InvalidData, text.trim_start_matches("Execution error: ")),
            ArrowError::MemoryError(text) => Error::new(Code::OutOfMemory, text),
            ArrowError::IoError(text, error) => Error::new(Code::Io, format!("{text}: {error}")),
            ArrowError::InvalidArgumentError(text) => told(Code::InvalidQuery, &text),
            ArrowError::ExternalError(error) => from_boxed(error),
            other => Error::new(Code::InvalidData, other.to_string()),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::ArrowError(error, _) => (*error).into(),
            DataFusionError::IoError(error) => error.into(),
            DataFusionError::SQL(error, _) => Error::new(Code::Syntax, error.to_string()),
            DataFusionError::NotImplemented(text) => Error::new(Code::NotSupported, in_types_of_sql(&text)),
            DataFusionError::Plan(text) => told(Code::InvalidQuery, &text),
            DataFusionError::SchemaError(error, _) => Error::new(Code::UnknownColumn, error.to_string()),
            DataFusionError::Execution(text) => told(Code::InvalidQuery, &text),
            DataFusionError::ResourcesExhausted(text) => Error::new(Code::OutOfMemory, text),
            DataFusionError::External(error) => from_boxed(error),
            DataFusionError::Context(place, error) => Error::from(*error).context(place),
            DataFusionError::Diagnostic(_, error) => Error::from(*error),
            DataFusionError::Collection(mut errors) if !errors.is_empty() => Error::from(errors.swap_remove(0)),
            DataFusionError::Shared(error) => Error::new(Code::InvalidQuery, error.to_string()),
            other => Error::internal(other.to_string()),
        }
    }
}

/// A floe error that travelled through a foreign library comes back as itself.
fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => match error.downcast::<DataFusionError>() {
            Ok(error) => Error::from(*error),
            Err(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => Error::from(*error),
                Err(error) => Error::internal(error.to_string()),
            },
        },
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        ArrowError::ExternalError(Box::new(error))
    }
}

impl From<ParquetError> for Error {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => from_boxed(error),
            other => Error::new(Code::InvalidData, other.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        // A floe error that travelled through `std::io` comes back as itself.
        let error = match error.downcast::<Error>() {
            Ok(error) => return error,
            Err(error) => error,
        };
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::FileNotFound,
            _ => Code::Io,
        };
        Error::new(code, error.to_string())
    }
}
