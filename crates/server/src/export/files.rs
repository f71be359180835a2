//! The files of an export: written under other names, and named when all are whole.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use record::{Column, Table};

pub(super) type FileTable = Table<BufWriter<File>>;

/// The files of one export.
pub(super) struct Files {
    out: PathBuf,
    /// Written under these names, to be renamed to the second.
    written: Vec<(PathBuf, PathBuf)>,
    dictionary: Vec<(String, &'static str, Vec<Column>)>,
}

impl Files {
    pub(super) fn new(out: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(out)
            .with_context(|| format!("cannot make the folder {}; give another with --out", out.display()))?;
        Ok(Self { out: out.to_owned(), written: Vec::new(), dictionary: Vec::new() })
    }

    fn create(&mut self, name: &str) -> anyhow::Result<File> {
        let path = self.out.join(name);
        let partial = self.out.join(format!(".{name}.partial"));
        let file = File::create(&partial).with_context(|| {
            format!("cannot write to {}; give another folder with --out", self.out.display())
        })?;
        self.written.push((partial, path));
        Ok(file)
    }

    /// Begins a table.
    pub(super) fn table(
        &mut self,
        (name, _): (&str, &str),
        columns: Vec<Column>,
    ) -> anyhow::Result<FileTable> {
        let file = self.create(&format!("{name}.csv"))?;
        Ok(Table::new(columns, BufWriter::new(file))?)
    }

    /// Ends a table, and notes its columns for the dictionary.
    pub(super) fn close(
        &mut self,
        (name, meaning): (&str, &'static str),
        table: FileTable,
    ) -> anyhow::Result<()> {
        let (columns, writer) = table.finish()?;
        let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all().with_context(|| format!("cannot write {name}.csv"))?;
        self.dictionary.push((name.to_owned(), meaning, columns));
        Ok(())
    }

    /// Writes the dictionary and gives every file its name.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        let dictionary = std::mem::take(&mut self.dictionary);
        let tables: Vec<_> = dictionary
            .iter()
            .map(|(name, meaning, columns)| (name.as_str(), *meaning, columns.clone()))
            .collect();
        let file = self.create("dictionary.json")?;
        record::write_dictionary(&tables, &file)?;
        file.sync_all()?;
        for (partial, path) in &self.written {
            std::fs::rename(partial, path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
