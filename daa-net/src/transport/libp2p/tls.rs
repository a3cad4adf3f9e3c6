//! TLS 1.3 as libp2p speaks it, with choices of our own.
//!
//! Each side shows one certificate that it signed itself, and that carries the key of its peer id and a signature with it
//! (<https://github.com/libp2p/specs/blob/master/tls/tls.md>). The certificate is made and read by `libp2p-tls`. What is offered and
//! accepted is decided here: a post-quantum group first, ciphers in the order in which this machine is fast, no session that is
//! resumed without its certificates, and no file for the keys.

mod upgrade;
mod verifier;

use std::sync::Arc;

use daa_crypto::FrameCipher;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p::tls::certificate;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig, version};

pub(super) use upgrade::TlsUpgrade;
use verifier::Verifier;
pub(super) use verifier::{Refused, proved};

/// The name of what is spoken inside (RFC 7301).
const ALPN: &[u8] = b"libp2p";

/// The configurations of one libp2p identity.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(keypair: &Keypair) -> Result<Self, TlsError> {
        let provider = provider(FrameCipher::supported());
        let (certificate, key) = certificate::generate(keypair)?;
        let key = provider.key_provider.load_private_key(key)?;
        Ok(Self::of(provider, CertifiedKey::new(vec![certificate], key))?)
    }

    fn of(provider: CryptoProvider, ours: CertifiedKey) -> Result<Self, rustls::Error> {
        let (provider, ours) = (Arc::new(provider), Arc::new(SingleCertAndKey::from(ours)));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::of_anybody()))
            .with_client_cert_resolver(Arc::<SingleCertAndKey>::clone(&ours));
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.enable_sni = false;
        client.resumption = Resumption::disabled();

        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(Arc::new(Verifier::of_anybody()))
            .with_cert_resolver(ours);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        // Who calls knows what it is fast with, and this side knows when it is not.
        server.ignore_client_order = !has_fast_aes(FrameCipher::supported());
        Ok(Self { client, server: Arc::new(server) })
    }

    /// For calling this peer, or anybody.
    pub(super) fn client(&self, expected: Option<PeerId>) -> Arc<ClientConfig> {
        let mut client = self.client.clone();
        client.dangerous().set_certificate_verifier(Arc::new(Verifier::of(expected)));
        Arc::new(client)
    }

    /// For being called.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

fn has_fast_aes(supported: &[FrameCipher]) -> bool {
    supported.first() == Some(&FrameCipher::Aes256Gcm)
}

/// AWS-LC, with the post-quantum group first, and X25519 for those who have nothing else.
fn provider(supported: &[FrameCipher]) -> CryptoProvider {
    let mut suites = vec![
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !has_fast_aes(supported) {
        suites.rotate_right(1);
    }
    CryptoProvider {
        cipher_suites: suites,
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519],
        ..default_provider()
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("the certificate could not be made")]
    Certificate(#[from] certificate::GenError),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

#[cfg(test)]
mod tests;
