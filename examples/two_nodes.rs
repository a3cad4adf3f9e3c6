//! Two nodes find each other by what one of them offers, and talk under post-quantum keys. Run:
//! `cargo run --release --example two_nodes`
use std::sync::Arc;

use daa::crypto::CryptoSuite;
use daa::net::auth::Auth;
use daa::net::rpc::CallOptions;
use daa::net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa::net::{Node, NodeDiscovery, NodeIdentity, NodeOptions};

async fn node(options: NodeOptions) -> Result<Node, Box<dyn std::error::Error>> {
    let suite = CryptoSuite::new();
    let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite)?, "two-nodes".parse()?);
    let transport = Libp2pTransport::start(auth.clone(), Libp2pOptions::loopback()).await?;
    Ok(Node::start(&auth, Arc::new(transport), options).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = "greeting".parse()?;
    let bob = node(NodeOptions::new().offering("greeting".parse()?)).await?;
    bob.serve("greet/1", async |asked| Ok([b"good morning, ", &asked.body[..]].concat().into()));
    println!("bob    is {}\n       at {}", bob.id(), bob.addresses()[0]);

    let alice = node(NodeOptions::new()).await?;
    alice.join(&bob.addresses()).await?;
    alice.wait_for(&service).await?;
    let found = alice.discover_nodes(&service).await?.remove(0).record.node();
    println!("alice  is {}\n       found {found}", alice.id());

    let answer = alice.call(found, "greet/1", "alice".into(), CallOptions::default()).await?;
    println!("bob    says \"{}\", sealed for alice", String::from_utf8_lossy(&answer));
    alice.leave().await;
    Ok(())
}
