//! What a function of floe's around one of a library says of itself as that one does.

/// The name, the other names and the documentation, of the function in a field.
macro_rules! as_wrapped {
    ($field:ident) => {
        fn name(&self) -> &str {
            self.$field.name()
        }

        fn aliases(&self) -> &[String] {
            self.$field.aliases()
        }

        fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
            self.$field.documentation()
        }
    };
}

/// The signature and the types that arguments become, too.
macro_rules! called_as_wrapped {
    ($field:ident) => {
        fn signature(&self) -> &datafusion_expr::Signature {
            self.$field.signature()
        }

        fn coerce_types(
            &self,
            types: &[arrow::datatypes::DataType],
        ) -> datafusion_common::Result<Vec<arrow::datatypes::DataType>> {
            self.$field.coerce_types(types)
        }
    };
}

pub(super) use {as_wrapped, called_as_wrapped};
