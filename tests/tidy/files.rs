//! The files of the repository, without what is built or kept beside them.

use std::{fs, path::Path};

/// A text file.
pub struct File {
    /// From the repository's root.
    pub path: String,
    pub text: String,
}

impl File {
    pub fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The module that a file below `src/` is: `http::dialects::bookstore`.
    pub fn module(&self) -> String {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.replace('/', "::")
    }
}

/// Every text file that git would take.
pub fn files() -> Vec<File> {
    let mut files = Vec::new();
    walk(root(), "", &ignored(), &mut files);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the files are not found");
    files
}

/// The names at the top level that git would take.
pub fn top_level() -> Vec<String> {
    let ignored = ignored();
    let names = fs::read_dir(root()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !is_ignored(&ignored, name, name)).collect()
}

fn walk(folder: &Path, prefix: &str, ignored: &[String], files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if name == ".git" || is_ignored(ignored, &path, &name) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), ignored, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}

/// The lines of `.gitignore`, which are of two kinds here: `/path` and `*.extension`.
fn ignored() -> Vec<String> {
    let lines = include_str!("../../.gitignore").lines();
    lines.map(str::to_owned).inspect(|line| assert!(line.starts_with(['/', '*']))).collect()
}

fn is_ignored(ignored: &[String], path: &str, name: &str) -> bool {
    ignored.iter().any(|line| match line.strip_prefix('*') {
        Some(extension) => name.ends_with(extension),
        None => line.strip_prefix('/') == Some(path),
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
