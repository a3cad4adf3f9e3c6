//! What the compiler does not check: the direction of dependencies, the size of files, links in documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may use whom: each crate, and those of ours that it may depend on outside its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("daa-core", &[]),
    ("daa-store", &["daa-core"]),
    ("daa-crypto", &[]),
    ("daa-net", &["daa-core", "daa-crypto"]),
    ("daa-lab", &["daa-core", "daa-crypto", "daa-net"]),
    ("daa-rules", &["daa-core"]),
    ("daa-economy", &["daa-core"]),
    ("daa-compute", &["daa-core"]),
    (
        "daa",
        &[
            "daa-core",
            "daa-store",
            "daa-crypto",
            "daa-net",
            "daa-lab",
            "daa-rules",
            "daa-economy",
            "daa-compute",
        ],
    ),
    ("workspace-hack", &[]),
    ("xtask", &[]),
];

/// The longest source file, in lines, tests included.
const MAX_LINES: usize = 700;

pub(crate) fn run() -> Result<(), String> {
    let metadata = metadata()?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap_or("."));
    let mut findings = dependencies(&metadata);
    let mut files = Vec::new();
    walk(&root, &mut files);
    for file in &files {
        let name = file.strip_prefix(&root).unwrap_or(file).display().to_string();
        let Ok(text) = fs::read_to_string(file) else { continue };
        if name.ends_with(".rs") && text.lines().count() > MAX_LINES {
            findings.push(format!("{name}: more than {MAX_LINES} lines; is it one idea?"));
        }
        if name.ends_with(".md") {
            findings.extend(links(file, &text).map(|link| format!("{name}: nothing at {link}")));
        }
    }
    if findings.is_empty() {
        println!("tidy: {} files in order", files.len());
        return Ok(());
    }
    Err(format!("{} findings\n{}", findings.len(), findings.join("\n")))
}

fn metadata() -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn dependencies(metadata: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let none = Vec::new();
    for package in metadata["packages"].as_array().unwrap_or(&none) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(owner, _)| *owner == name) else {
            findings.push(format!("{name}: say in xtask which crates it may use"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&none) {
            let used = dependency["name"].as_str().unwrap_or_default();
            let ours = MAY_USE.iter().any(|(owner, _)| *owner == used);
            if ours && dependency["kind"].is_null() && !allowed.contains(&used) {
                findings.push(format!("{name} must not depend on {used}: they meet in the facade"));
            }
        }
    }
    findings
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                walk(&path, files);
            }
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            files.push(path);
        }
    }
}

/// The relative links of a Markdown file that lead nowhere.
fn links<'a>(file: &'a Path, text: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split("](").skip(1).filter_map(move |rest| {
        let link = rest.split([')', '#', ' ']).next().unwrap_or_default();
        let local = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
        let target = file.parent().unwrap_or(Path::new(".")).join(link);
        (local && !target.exists()).then(|| link.to_owned())
    })
}
