//! CREATE and DROP SECRET: credentials for object stores, for as long as the session lives.

use datafusion_sql::sqlparser::ast::{SecretOption, Statement};

use super::{Running, not_supported};
use crate::error::{Code, Error, Result};
use crate::io::Secret;
use crate::session::DataFrame;

/// The name of a secret without one.
const UNNAMED: &str = "default";

impl Running<'_> {
    pub(super) fn create_secret(&self) -> Result<DataFrame> {
        let Statement::CreateSecret {
            or_replace,
            temporary,
            if_not_exists,
            name,
            storage_specifier,
            secret_type,
            options,
        } = &self.prepared.written
        else {
            return Err(not_supported(&self.prepared.written));
        };
        if *temporary == Some(false) || storage_specifier.is_some() {
            return Err(Error::not_supported("keeping a secret beyond the session")
                .hint("leave PERSISTENT out, or put the key into the environment or ~/.aws/credentials"));
        }
        let name = name.as_ref().map_or(UNNAMED, |name| name.value.as_str());
        let pair = |option: &SecretOption| (option.key.value.clone(), option.value.value.clone());
        let options: Vec<_> = options.iter().map(pair).collect();
        let secret = Secret::new(name, &secret_type.value, &options)?;
        let kept = self.session.engine().storage().put_secret(secret, *or_replace);
        if kept || *if_not_exists {
            return self.nothing();
        }
        Err(Error::new(Code::AlreadyExists, format!("there is a secret \"{name}\" already"))
            .hint("CREATE OR REPLACE SECRET takes its place"))
    }

    pub(super) fn drop_secret(&self) -> Result<DataFrame> {
        let Statement::DropSecret { if_exists, name, .. } = &self.prepared.written else {
            return Err(not_supported(&self.prepared.written));
        };
        if self.session.engine().storage().drop_secret(&name.value) || *if_exists {
            return self.nothing();
        }
        Err(Error::new(Code::UnknownTable, format!("there is no secret \"{}\"", name.value)))
    }
}
