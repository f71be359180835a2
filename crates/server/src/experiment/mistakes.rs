//! What is wrong with an experiment's file: all of it at once, with line, field and cure.

use core::fmt;
use core::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

/// Something that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mistake {
    /// The file, when it is another than most are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line, from 1; none when it is about the whole file.
    pub line: Option<usize>,
    /// The field, with those that it is in, like `recovery.grace_s`; empty when it is about a scene, or the file.
    pub field: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// Everything that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
pub struct Mistakes {
    /// The file.
    pub file: PathBuf,
    /// In the order of its lines.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Mistake { file, line, text, .. }) in self.mistakes.iter().enumerate() {
            let end = if at + 1 < self.mistakes.len() { "\n" } else { "" };
            let file = file.as_ref().unwrap_or(&self.file).display();
            match line {
                Some(line) => write!(f, "{file}: line {line}: {text}{end}")?,
                None => write!(f, "{file}: {text}{end}")?,
            }
        }
        Ok(())
    }
}

/// A file that is being read, and what was found to be wrong with it.
pub(super) struct Reading<'a> {
    text: &'a str,
    table: DeTable<'a>,
    /// Where the table begins that is being read: a scene, or a question.
    pub(super) start: Option<usize>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reading<'a> {
    /// Takes a file apart.
    ///
    /// # Errors
    /// Everything that is not TOML.
    pub(super) fn begin(text: &'a str) -> Result<Self, Vec<Mistake>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let reading = Self { text, table: table.into_inner(), start: None, mistakes: Vec::new() };
        if errors.is_empty() {
            return Ok(reading);
        }
        let mistake = |error: &toml::de::Error| Mistake {
            file: None,
            line: error.span().map(|span| reading.line(span.start)),
            field: String::new(),
            text: error.message().to_owned(),
        };
        Err(errors.iter().map(mistake).collect())
    }

    /// Everything that was found, in the order of lines; other files come after this one.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.mistakes
    }

    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// How many mistakes were found so far.
    pub(super) fn count(&self) -> usize {
        self.mistakes.len()
    }

    /// Reads the whole of it. What cannot be is told and left out, so that more than one mistake is found.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut table = self.table.clone();
        let mut left_out = Vec::new();
        loop {
            let whole = Spanned::new(0..self.text.len(), table.clone());
            let error = match T::deserialize(Deserializer::from(whole)) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let message = error.message();
            let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
            if missing.is_none_or(|missing| !left_out.iter().any(|name| name == missing)) {
                let hint = suggestion(message).map(|hint| format!("; {hint}")).unwrap_or_default();
                let line = error.span().map(|span| self.line(span.start));
                let field = left_out_name(&table, error.span()).unwrap_or_default();
                let text = match missing {
                    Some(missing) => format!("{missing} is missing"),
                    None if field.is_empty() || message.contains(&format!("`{field}`")) => {
                        format!("{message}{hint}")
                    }
                    None => format!("{field}: {message}{hint}"),
                };
                self.mistakes.push(Mistake { file: None, line, field, text });
            }
            left_out.push(leave_out(&mut table, &error.span()?)?);
        }
    }

    /// Reads a scene, or a question, that begins there.
    pub(super) fn within<T>(&mut self, start: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.start.replace(start);
        let value = read(self);
        self.start = outer;
        value
    }

    /// Something is wrong with a field.
    pub(super) fn add(&mut self, field: &str, text: impl Into<String>) {
        let line = self.place(field).map(|at| self.line(at));
        self.mistakes.push(Mistake { file: None, line, field: field.to_owned(), text: text.into() });
    }

    /// Whether the table that is being read has a field, whatever is in it.
    pub(super) fn has(&self, field: &str) -> bool {
        self.place(field).is_some_and(|at| Some(at) != self.start)
    }

    /// What is wrong with another file that this one names.
    pub(super) fn add_all(&mut self, mistakes: Vec<Mistake>, file: &Path) {
        let file = Some(file.to_owned());
        self.mistakes.extend(mistakes.into_iter().map(|mistake| Mistake { file: file.clone(), ..mistake }));
    }

    /// What a field gives, unless there is something wrong with it.
    pub(super) fn keep<T>(&mut self, field: &str, value: anyhow::Result<T>) -> Option<T> {
        value.map_err(|error| self.add(field, format!("{field}: {error:#}"))).ok()
    }

    /// A number that must be within bounds; `usual` where there is none.
    pub(super) fn number<T>(&mut self, field: &str, value: Option<T>, usual: T, range: RangeInclusive<T>) -> T
    where
        T: PartialOrd + Copy + fmt::Display,
    {
        let value = value.unwrap_or(usual);
        if !range.contains(&value) {
            let name = field.rsplit('.').next().unwrap_or(field);
            self.add(field, format!("{name} is {value}; it must be {} to {}", range.start(), range.end()));
        }
        value
    }

    /// A time in seconds that must be within bounds, in milliseconds.
    pub(super) fn millis(
        &mut self,
        field: &str,
        seconds: Option<f64>,
        usual: u32,
        range: RangeInclusive<f64>,
    ) -> u32 {
        (self.number(field, seconds, f64::from(usual) / 1000.0, range) * 1000.0).round() as u32
    }

    /// Where a field stands: its table's place when the field is not there, or is missing.
    fn place(&self, field: &str) -> Option<usize> {
        let mut table = match self.start {
            Some(start) => table_at(&self.table, start),
            None => Some(&self.table),
        };
        let mut place = self.start;
        for name in field.split('.') {
            let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else { break };
            place = Some(key.span().start);
            table = value.get_ref().as_table();
        }
        place
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at.min(self.text.len())].matches('\n').count() + 1
    }
}

/// The table that begins at a place.
fn table_at<'a, 'i>(table: &'a DeTable<'i>, start: usize) -> Option<&'a DeTable<'i>> {
    table.iter().find_map(|(_, value)| within_value(value, start))
}

fn within_value<'a, 'i>(value: &'a Spanned<DeValue<'i>>, start: usize) -> Option<&'a DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) if value.span().start == start => Some(table),
        DeValue::Table(table) => table_at(table, start),
        DeValue::Array(array) => array.iter().find_map(|value| within_value(value, start)),
        _ => None,
    }
}

/// The name of what [`leave_out`] would take.
fn left_out_name(table: &DeTable<'_>, span: Option<Range<usize>>) -> Option<String> {
    leave_out(&mut table.clone(), &span?).filter(|name| !name.is_empty())
}

/// Takes the innermost thing with a span out of a table; its name, which the elements of an array have not.
fn leave_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let found = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(name) = found.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(name.as_str());
        return Some(name);
    }
    table.iter_mut().find_map(|(_, value)| leave_out_of(value, span))
}

fn leave_out_of(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => leave_out(table, span),
        DeValue::Array(array) => {
            if let Some(name) = array.iter_mut().find_map(|value| leave_out_of(value, span)) {
                return Some(name);
            }
            let kept: Vec<_> = array.iter().filter(|value| value.span() != *span).cloned().collect();
            let is_there = kept.len() < array.len();
            if is_there {
                *array = DeArray::new();
                kept.into_iter().for_each(|value| array.push(value));
            }
            is_there.then(String::new)
        }
        _ => None,
    }
}

/// "Did you mean …" for an unknown key, from the names that the message lists as expected.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| quoted.next())??;
    nearest(unknown, quoted).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// "; did you mean …?", or nothing.
pub(super) fn did_you_mean<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(unknown, names).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// The name that was probably meant.
fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) = names.map(|name| (edits(unknown, name), name)).min()?;
    (distance <= 3 && distance < unknown.len()).then_some(nearest)
}

/// How many letters must be put in, taken out or changed.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
