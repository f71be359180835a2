//! Writing tables and their dictionary.

use std::io::{self, Write};

use serde_json::json;

use crate::Column;

/// A cell.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Not known, or it did not happen.
    Empty,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// A number; written with as few digits as read back the same.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Milliseconds since the Unix epoch.
    Time(u64),
}

impl Value {
    fn into_text(self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
            Self::Time(millis) => iso_8601(millis),
        }
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
from!(String => Text, &str => Text, u8 => Integer, u16 => Integer, u32 => Integer, u64 => Integer, f64 => Number, bool => Boolean);

/// A moment in UTC with milliseconds: days to civil date after Hinnant's algorithm.
fn iso_8601(millis: u64) -> String {
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1000)
}

/// A table that is being written as CSV (RFC 4180).
pub struct Table<W: Write> {
    columns: Vec<Column>,
    rows: u64,
    writer: csv::Writer<W>,
}

impl<W: Write> Table<W> {
    /// Writes the first line.
    ///
    /// # Errors
    /// The writer's.
    pub fn new(columns: Vec<Column>, writer: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(columns.iter().map(|column| &column.name))?;
        Ok(Self { columns, rows: 0, writer })
    }

    /// Writes a row, with one cell for each column.
    ///
    /// # Errors
    /// The writer's; and when the row has another number of cells than the table has columns.
    pub fn row(&mut self, cells: Vec<Value>) -> io::Result<()> {
        self.rows += 1;
        Ok(self.writer.write_record(cells.into_iter().map(Value::into_text))?)
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what is left, and gives back the columns and the writer.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(self) -> io::Result<(Vec<Column>, W)> {
        let writer = self.writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok((self.columns, writer))
    }
}

/// Writes the data dictionary: every table with what it holds, and every column with type, unit and meaning.
///
/// # Errors
/// The writer's.
pub fn write_dictionary(tables: &[(&str, &str, Vec<Column>)], mut writer: impl Write) -> io::Result<()> {
    let tables: Vec<_> = tables
        .iter()
        .map(|(name, meaning, columns)| json!({ "table": name, "meaning": meaning, "columns": columns }))
        .collect();
    serde_json::to_writer_pretty(&mut writer, &json!({ "tables": tables }))?;
    writeln!(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(iso_8601(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso_8601(1_795_243_690_007), "2026-11-21T06:48:10.007Z");
    }

    #[test]
    fn a_table_is_csv_that_reads_back() {
        let columns = vec![Column::new("a", Kind::Text, ""), Column::new("b", Kind::Number, "")];
        let mut table = Table::new(columns, Vec::new()).unwrap();
        table.row(vec!["x, \"y\"\nz".into(), 0.1.into()]).unwrap();
        table.row(vec![Value::Empty, 1e300.into()]).unwrap();
        assert!(table.row(vec![Value::Empty]).is_err(), "a row with a cell too few");
        let (_, bytes) = table.finish().unwrap();
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(&rows[0][0], "x, \"y\"\nz");
        assert_eq!(rows[1][1].parse::<f64>(), Ok(1e300));
    }
}
