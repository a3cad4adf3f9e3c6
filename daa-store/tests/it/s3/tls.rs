//! TLS, and whom it trusts.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use daa_core::artifact::{ArtifactError, Artifacts};

use super::support::{Server, bucket_at};
use crate::certificates::Certificates;

/// The bucket is asked for by way of `openssl`, which speaks TLS for what it reads.
fn create_bucket(server: &Server) {
    let openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &server.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    openssl.stdin.as_ref().unwrap().write_all(server.request_for_bucket().as_bytes()).unwrap();
    let answer = openssl.wait_with_output().unwrap();
    let answer = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.contains(" 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_tls_with_a_server_that_it_trusts_and_with_no_other() {
    let keys = tempfile::tempdir().unwrap();
    let made = Certificates::make(keys.path());
    let server = Server::start_with(&[
        "--ssl".as_ref(),
        "--ssl-cert".as_ref(),
        made.certificate.as_ref(),
        "--ssl-key".as_ref(),
        made.key.as_ref(),
    ]);
    create_bucket(&server);
    let place = bucket_at(&format!("https://localhost:{}", server.address.port()))
        .with_patience(Duration::from_millis(500));
    let authority = std::fs::read(&made.authority).unwrap();
    let trusting = place.clone().with_root_certificates(&authority).unwrap().open().unwrap();
    trusting.check().await.unwrap();
    let digest = trusting.put("payload".into()).await.unwrap();
    assert_eq!(trusting.get(&digest).await.unwrap(), Some("payload".into()));

    let other = tempfile::tempdir().unwrap();
    let stranger = std::fs::read(Certificates::make(other.path()).authority).unwrap();
    for refused in [place.clone(), place.with_root_certificates(&stranger).unwrap()] {
        let refused = refused.open().unwrap().check().await;
        let told = format!("{refused:?}");
        assert!(matches!(refused, Err(ArtifactError::Unavailable { .. })), "{told}");
        assert!(told.contains("ertificate"), "{told}");
    }
}
