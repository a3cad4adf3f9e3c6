//! From the machine into namespaces of the lab's own, in which it may do everything and which end with it.

use std::process::{Command, ExitCode, Stdio};

use super::failure::Failure;
use super::tool;
use crate::args::Args;

/// Says to the program that it runs inside.
const INSIDE: &str = "DAA_LAB_INSIDE";
/// Namespaces of network, mounts and processes; the last one kills all nodes when the lab ends, however it ends.
const OWN: &[&str] = &["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// The same for who is not root: root in a namespace of users.
const OWN_USER: &[&str] = &["--user", "--map-root-user"];
/// The device that the line is made of.
const TUN: &str = "/dev/net/tun";

/// Whether this is the process inside.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Ends this process, and with it everything inside, when the one outside has ended.
pub(crate) fn end_with_outside() {
    std::thread::spawn(|| {
        // Nothing is ever written: it returns at the end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

/// Runs this program again, inside, and gives its end.
pub(crate) fn enter(args: &Args) -> Result<ExitCode, Failure> {
    let flags = possible()?;
    if args.check {
        eprintln!("nat_lab: this machine can run the lab");
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe().map_err(Failure::io("this program"))?;
    let mut command = Command::new("unshare");
    command.args(flags).arg("--").arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    let mut inside = command.stdin(Stdio::piped()).spawn().map_err(Failure::io("unshare"))?;
    // It ends with this process, which has the other end: `unshare` takes no notice of the signals that end programs.
    let held = inside.stdin.take();
    let status = inside.wait().map_err(Failure::io("unshare"))?;
    drop(held);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// How to get inside, or what is missing.
fn possible() -> Result<Vec<&'static str>, Failure> {
    for (program, package) in [
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("mount", "mount"),
        ("ip", "iproute2"),
        ("nft", "nftables"),
    ] {
        if tool::find(program).is_none() {
            let help = format!("install the package {package}");
            return Err(Failure::Missing { what: format!("there is no program {program}"), help });
        }
    }
    let ways = [OWN.to_vec(), [OWN_USER, OWN].concat()];
    let mut said = String::new();
    let way = ways.into_iter().find(|flags| match dry(flags) {
        Ok(()) => true,
        Err(why) => {
            said = why;
            false
        }
    });
    let Some(way) = way else {
        let help = "run it as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
                    kernel.apparmor_restrict_unprivileged_userns=0); in a container it needs CAP_SYS_ADMIN";
        return Err(Failure::Missing { what: format!("no namespaces: {said}"), help: help.to_owned() });
    };
    let device = std::fs::OpenOptions::new().read(true).write(true).open(TUN);
    device.map_err(|error| Failure::Missing {
        what: format!("{TUN} cannot be opened: {error}"),
        help:
            "load the module tun, and let this user read and write the device; in a container it has to be \
               passed in (--device /dev/net/tun)"
                .to_owned(),
    })?;
    Ok(way)
}

/// Whether namespaces can be made so.
fn dry(flags: &[&str]) -> Result<(), String> {
    let mut command = Command::new("unshare");
    let output = command.args(flags).args(["--", "true"]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
