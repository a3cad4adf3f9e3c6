//! Which file a blob is, and which blob a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::sync_dir;

/// The artefacts' own folder has no name: their fan-out is in the root.
const DATA: &str = "data/";
const SEALED_DATA: &str = "sealed/data/";

/// The folder of all blobs whose names begin with `under`, and whether it has a fan-out.
fn dir(root: &Path, under: &str) -> (PathBuf, bool) {
    match under {
        DATA => (root.to_owned(), true),
        SEALED_DATA => (root.join("sealed"), true),
        _ => (root.join(under.trim_end_matches('/')), false),
    }
}

/// The file of a blob.
pub(super) fn file(root: &Path, name: &str) -> PathBuf {
    let at = name.rfind('/').map_or(0, |at| at + 1);
    let (under, last) = name.split_at(at);
    let (dir, fans) = dir(root, under);
    match (last.get(..2), last.get(2..4)) {
        (Some(first), Some(second)) if fans => dir.join(first).join(second).join(last),
        _ => dir.join(last),
    }
}

/// Creates the folders on the way to a file.
pub(super) fn create_dirs(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Makes the way from the root to a file durable.
pub(super) fn sync(root: &Path, file: &Path) -> io::Result<()> {
    for dir in file.ancestors().skip(1) {
        sync_dir(dir)?;
        if dir == root {
            break;
        }
    }
    Ok(())
}

/// A blob that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) file: PathBuf,
}

/// The first `limit` blobs under a prefix and behind a name, by their names.
pub(super) fn list(root: &Path, under: &str, after: Option<&str>, limit: usize) -> io::Result<Vec<Found>> {
    let (dir, fans) = dir(root, under);
    let mut walk = Walk { after, limit, found: Vec::new() };
    if fans {
        for outer in entries(&dir)?.into_iter().filter(|it| it.is_dir && it.name.len() == 2) {
            if walk.has_passed(&format!("{under}{}", outer.name)) {
                continue;
            }
            let inner = entries(&dir.join(&outer.name))?;
            for inner in inner.into_iter().filter(|it| it.is_dir && it.name.len() == 2) {
                let prefix = format!("{under}{}{}", outer.name, inner.name);
                if walk.has_passed(&prefix) {
                    continue;
                }
                let dir = dir.join(&outer.name).join(&inner.name);
                for entry in entries(&dir)? {
                    let name = format!("{under}{}", entry.name);
                    // Only what would be found by its name.
                    if !entry.is_dir && file(root, &name) == dir.join(&entry.name) {
                        walk.meet(name, dir.join(entry.name));
                    }
                }
                if walk.is_full() {
                    return Ok(walk.found);
                }
            }
        }
    } else {
        walk.descend(under, &dir)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    after: Option<&'a str>,
    limit: usize,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    /// Whether all names that begin with `prefix` are before the one that is passed.
    fn has_passed(&self, prefix: &str) -> bool {
        self.after.is_some_and(|after| prefix < after && !after.starts_with(prefix))
    }

    fn meet(&mut self, name: String, file: PathBuf) {
        if !self.is_full() && self.after.is_none_or(|after| after < name.as_str()) {
            self.found.push(Found { name, file });
        }
    }

    fn descend(&mut self, under: &str, dir: &Path) -> io::Result<()> {
        for entry in entries(dir)? {
            if self.is_full() {
                break;
            }
            let name = format!("{under}{}", entry.name);
            if !entry.is_dir {
                self.meet(name, dir.join(entry.name));
            } else if !self.has_passed(&format!("{name}/")) {
                self.descend(&format!("{name}/"), &dir.join(entry.name))?;
            }
        }
        Ok(())
    }
}

struct Entry {
    name: String,
    is_dir: bool,
}

/// What is in a folder, in the order of the names of blobs; nothing, where there is none.
fn entries(dir: &Path) -> io::Result<Vec<Entry>> {
    let read = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry?;
        // Names of blobs are text.
        let Ok(name) = entry.file_name().into_string() else { continue };
        entries.push(Entry { name, is_dir: entry.file_type()?.is_dir() });
    }
    // Those in a folder have a slash behind its name.
    let key = |it: &Entry| if it.is_dir { format!("{}/", it.name) } else { it.name.clone() };
    entries.sort_by_cached_key(key);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_fan_out_and_other_blobs_do_not() {
        let root = Path::new("root");
        for (name, expected) in [
            ("data/abcdef", "root/ab/cd/abcdef"),
            ("sealed/data/abcdef", "root/sealed/ab/cd/abcdef"),
            ("outline/abcdef", "root/outline/abcdef"),
            ("tags/a=b/stable/0f", "root/tags/a=b/stable/0f"),
        ] {
            assert_eq!(file(root, name), Path::new(expected));
        }
    }

    #[test]
    fn lists_in_the_order_of_the_names_from_any_place_on() {
        let root = tempfile::tempdir().unwrap();
        let mut names =
            ["tags/a-b/x/1", "tags/a/x/1", "tags/a/x/2", "tags/a/y/1", "tags/a0/x/1", "tags/a=b/x/1"];
        names.sort_unstable();
        for name in names {
            let file = file(root.path(), name);
            create_dirs(&file).unwrap();
            fs::write(file, "").unwrap();
        }
        for (at, after) in [None].into_iter().chain(names.map(Some)).enumerate() {
            for limit in 0..8 {
                let found = list(root.path(), "tags/", after, limit).unwrap();
                let found: Vec<_> = found.into_iter().map(|found| found.name).collect();
                let expected: Vec<_> = names.into_iter().skip(at).take(limit).collect();
                assert_eq!(found, expected, "{limit} after {after:?}");
            }
        }
        assert_eq!(list(root.path(), "tags/a/", None, 9).unwrap().len(), 3);
        assert_eq!(list(root.path(), "names/", None, 9).unwrap().len(), 0);
    }
}
