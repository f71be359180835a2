//! What goes into statements and comes out of rows, whichever database it is.

use bytes::BytesMut;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::DatabaseError;
use crate::StoreError;

/// A parameter, or a column's contents, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// The parameters of a statement, `?1` first.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::database::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! integers {
    ($($integer:ty),+) => {
        $(
            impl From<$integer> for Value<'_> {
                fn from(number: $integer) -> Self {
                    Self::Integer(number.into())
                }
            }

            impl Column<'_> for $integer {
                fn read(value: Value<'_>) -> Option<Self> {
                    if let Value::Integer(number) = value { number.try_into().ok() } else { None }
                }
            }
        )+
    };
}
integers!(u8, u32, i64);

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What a column can be read as.
pub(crate) trait Column<'a>: Sized {
    fn read(value: Value<'a>) -> Option<Self>;
}

impl Column<'_> for bool {
    fn read(value: Value<'_>) -> Option<Self> {
        i64::read(value).map(|number| number != 0)
    }
}

impl<'a> Column<'a> for &'a str {
    fn read(value: Value<'a>) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Column<'_> for String {
    fn read(value: Value<'_>) -> Option<Self> {
        <&str>::read(value).map(ToOwned::to_owned)
    }
}

impl<'a> Column<'a> for &'a [u8] {
    fn read(value: Value<'a>) -> Option<Self> {
        if let Value::Blob(bytes) = value { Some(bytes) } else { None }
    }
}

impl Column<'_> for Vec<u8> {
    fn read(value: Value<'_>) -> Option<Self> {
        <&[u8]>::read(value).map(<[u8]>::to_vec)
    }
}

impl<'a, T: Column<'a>> Column<'a> for Option<T> {
    fn read(value: Value<'a>) -> Option<Self> {
        if matches!(value, Value::Null) { Some(None) } else { T::read(value).map(Some) }
    }
}

/// A row that was found.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// Reads a column by its place in the statement, from 0 on.
    pub(crate) fn get<'a, T: Column<'a>>(&'a self, column: usize) -> Result<T, StoreError> {
        let value = match self {
            Self::Sqlite(row) => Value::of_sqlite(row.get_ref(column).map_err(DatabaseError::Sqlite)?),
            Self::Postgres(row) => row.try_get(column).map_err(DatabaseError::Postgres)?,
        };
        T::read(value).ok_or_else(|| StoreError::Unreadable { what: "column", value: column.to_string() })
    }
}

impl<'a> Value<'a> {
    fn of_sqlite(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Blob(bytes) => Self::Blob(bytes),
            // Text that is not UTF-8 is read as bytes, which nobody takes for text.
            ValueRef::Text(bytes) => core::str::from_utf8(bytes).map_or(Self::Blob(bytes), Self::Text),
            // No column holds them.
            ValueRef::Null | ValueRef::Real(_) => Self::Null,
        }
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

type Mismatch = Box<dyn core::error::Error + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Mismatch> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *ty == Type::INT8 => number.to_sql(ty, out),
            Self::Text(text) if *ty == Type::TEXT => text.to_sql(ty, out),
            Self::Blob(bytes) if *ty == Type::BYTEA => bytes.to_sql(ty, out),
            Self::Integer(_) | Self::Text(_) | Self::Blob(_) => Err(format!("it must be {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Mismatch> {
        Ok(match *ty {
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::BYTEA => Self::Blob(raw),
            _ => Self::Text(<&str>::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Mismatch> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }
}
