//! The programs that make namespaces and NATs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::failure::Failure;

/// Where programs for administrators are, which may not be in the path of others.
const ALSO: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Where a program is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ALSO.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a program with this input, and fails with what it complains of.
pub(crate) fn run(program: &str, args: &[&str], input: &str) -> Result<(), Failure> {
    let shown = format!("{program} {}", args.join(" "));
    let failed = |source| Failure::Io { what: shown.clone(), source };
    let mut child = Command::new(find(program).unwrap_or_else(|| program.into()))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read it has failed, and says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::Tool { command: shown, said })
}

/// The start of a command that runs in a namespace.
pub(crate) fn within(namespace: &str) -> [String; 2] {
    ["nsenter".to_owned(), format!("--net=/run/netns/{namespace}")]
}
