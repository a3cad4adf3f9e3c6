//! Who takes its time in the handshake, in virtual time.

use std::time::Duration;

use daa_net::auth::{Ends, HandshakeError, MAX_MESSAGE, TIME_LIMIT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use crate::nodes::rng;
use crate::support::auth;

const ENDS: Ends<'static> = Ends { ours: b"ours", theirs: b"theirs" };

/// A byte each second: first the length of the longest message there is, and then that message.
async fn drips(mut line: DuplexStream) {
    let length = u16::try_from(MAX_MESSAGE).unwrap().to_be_bytes();
    for byte in length.into_iter().chain(std::iter::repeat_n(7, MAX_MESSAGE)) {
        if line.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_hello_a_byte_at_a_time_is_hung_up_on_in_time() {
    let (mut ours, theirs) = duplex(MAX_MESSAGE);
    let (began, node) = (Instant::now(), auth());
    tokio::spawn(drips(theirs));
    let met = node.respond_over(&mut ours, ENDS).await;
    assert!(matches!(met, Err(HandshakeError::Slow)), "{met:?}");
    assert_eq!(began.elapsed(), TIME_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn who_replies_a_byte_at_a_time_is_hung_up_on_in_time() {
    let (mut ours, theirs) = duplex(MAX_MESSAGE);
    let (began, node) = (Instant::now(), auth());
    tokio::spawn(drips(theirs));
    let met = node.initiate_over(&mut ours, ENDS, None).await;
    assert!(matches!(met, Err(HandshakeError::Slow)), "{met:?}");
    assert_eq!(began.elapsed(), TIME_LIMIT);
}

/// Neither does it help not to read what is said.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_the_reply_is_hung_up_on_in_time() {
    let (mut ours, mut theirs) = duplex(64);
    let (began, node, other) = (Instant::now(), auth(), auth());
    let (_, hello) = other.initiate(ENDS, None, &mut rng(4)).unwrap();
    let says = tokio::spawn(async move {
        theirs.write_all(&u16::try_from(hello.len()).unwrap().to_be_bytes()).await.unwrap();
        theirs.write_all(&hello).await.unwrap();
        theirs
    });
    let met = node.respond_over(&mut ours, ENDS).await;
    assert!(matches!(met, Err(HandshakeError::Slow)), "{met:?}");
    assert_eq!(began.elapsed(), TIME_LIMIT);
    let mut reply = Vec::new();
    drop(ours);
    says.await.unwrap().read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply.len(), 64, "no more than the line holds waits for it");
}
