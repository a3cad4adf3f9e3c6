//! When the network or the server fails.

use std::time::Duration;

use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts, ArtifactsExt as _};
use futures_util::TryStreamExt as _;

use super::support::{Server, bucket};
use crate::proxy::Proxy;

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at % 249) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_recover_by_themselves() {
    let server = Server::shared();
    let proxy = Proxy::to(server.address).await;
    let artifacts = bucket(([127, 0, 0, 1], proxy.port()).into()).open().unwrap();
    proxy.delay(Duration::from_millis(20));
    artifacts.check().await.unwrap();
    proxy.delay(Duration::ZERO);
    let whole = bytes(40 << 20);
    let cutting = async {
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            proxy.cut();
        }
    };
    let (digest, ()) = tokio::join!(artifacts.put(whole.clone()), cutting);
    let digest = digest.unwrap();
    let reading = async {
        let parts = artifacts.stream(&digest).await?.unwrap();
        parts.try_collect::<Vec<Bytes>>().await
    };
    let cutting = async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            proxy.cut();
        }
    };
    let (parts, ()) = tokio::join!(reading, cutting);
    assert!(parts.unwrap().concat() == whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_told_after_the_patience_and_works_when_it_is_back() {
    let server = Server::shared();
    let proxy = Proxy::to(server.address).await;
    let patience = Duration::from_millis(500);
    let artifacts = bucket(([127, 0, 0, 1], proxy.port()).into()).with_patience(patience).open().unwrap();
    let digest = artifacts.put(bytes(1_000)).await.unwrap();
    proxy.refuse(true);
    for refused in [artifacts.check().await.err(), artifacts.get(&digest).await.err()] {
        assert!(matches!(refused, Some(ArtifactError::Unavailable { .. })), "{refused:?}");
    }
    proxy.refuse(false);
    artifacts.check().await.unwrap();
    assert_eq!(artifacts.get(&digest).await.unwrap(), Some(bytes(1_000)));
}

#[tokio::test]
async fn plain_http_is_refused_unless_it_is_allowed() {
    let server = Server::shared();
    let url = format!("http://{}", server.address);
    let artifacts = daa_store::object::Bucket::new("s3://daa-test/plain")
        .unwrap()
        .with_setting("endpoint", &url)
        .with_setting("access_key_id", "test")
        .with_setting("secret_access_key", "test")
        .with_patience(Duration::from_millis(100))
        .open()
        .unwrap();
    let refused = artifacts.check().await;
    assert!(matches!(refused, Err(ArtifactError::Unavailable { .. })), "{refused:?}");
}
