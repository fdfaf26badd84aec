//! Values on their way to the database.

use crate::Param;
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

type Written = Result<IsNull, Box<dyn Error + Sync + Send>>;

/// One value.
#[derive(Debug)]
pub(super) struct Value<'a>(pub(super) Param<'a>);

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        match (self.0, kind) {
            (Param::Null, _) => Ok(IsNull::Yes),
            (Param::Int(number), &Type::INT8) => number.to_sql(kind, out),
            (Param::Text(text), &Type::TEXT) => text.to_sql(kind, out),
            (Param::Ids(ids), &Type::INT8_ARRAY) => ids.to_sql(kind, out),
            (Param::Texts(texts), &Type::TEXT_ARRAY) => texts.to_sql(kind, out),
            // Values may be secret.
            (_, kind) => Err(format!("a value that is no {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One column of many rows that stand one behind the other, as a list.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub(super) params: &'a [Param<'a>],
    /// Values in a row.
    pub(super) width: usize,
    pub(super) column: usize,
}

impl ToSql for Column<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        let values = self.params.iter().skip(self.column).step_by(self.width);
        values.map(|param| Value(*param)).collect::<Vec<_>>().to_sql(kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
