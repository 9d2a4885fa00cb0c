//! The files of the project, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::code::code_of;

/// One file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its text; invalid UTF-8 is replaced.
    pub text: String,
    /// Its owner may execute it.
    pub executable: bool,
}

/// The project's files by path from its root, with `/` between parts.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Every file that git does not ignore.
    pub files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the tree under `root`, without `.git` and what the root's `.gitignore` names with a leading slash.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let ignored = fs::read_to_string(root.join(".gitignore"))?;
        let mut ignored: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
        ignored.push(".git");
        let mut tree = Self::default();
        tree.read_folder(root, "", &ignored)?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str, ignored: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if ignored.contains(&path.as_str()) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"), ignored)?;
            } else if kind.is_file() {
                let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
                let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                self.files.insert(path, File { text, executable });
            }
        }
        Ok(())
    }

    /// A tree of the given texts, none executable.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |text: &str| File { text: text.to_owned(), executable: false };
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect() }
    }

    /// The same tree with one more or one other file.
    #[must_use]
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.files.entry(path.to_owned()).or_default().text = text.to_owned();
        self
    }

    /// Text of a file, empty if there is none.
    pub fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", |file| &file.text)
    }

    /// Every Rust file: path and text.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, file)| (path.as_str(), file.text.as_str()))
    }

    /// Every Rust file: path and code without comments and the contents of strings.
    pub fn rust_code(&self) -> impl Iterator<Item = (&str, String)> {
        self.rust().map(|(path, text)| (path, code_of(text)))
    }
}
