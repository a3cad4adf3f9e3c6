//! Certificates for servers of tests, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority of its own, and a certificate for `localhost` and 127.0.0.1 by it.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn make(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name);
        let openssl = |arguments: &str| {
            let made =
                Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        let new_key = "-newkey rsa:2048 -nodes -days 2";
        openssl(&format!("req -x509 {new_key} -subj /CN=authority -keyout ca.key -out ca.pem"));
        openssl(
            &format!("req {new_key} -subj /CN=localhost -keyout server.key -out server.csr")
                .replace(" -days 2", ""),
        );
        std::fs::write(path("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        Self { authority: path("ca.pem"), certificate: path("server.pem"), key: path("server.key") }
    }
}
