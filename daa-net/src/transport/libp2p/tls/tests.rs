use libp2p::core::upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _};
use rcgen::{CertificateParams, CustomExtension, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{CipherSuite, ClientConnection, NamedGroup, ServerConnection};
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::*;

const EXTENSION: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
const AES_FIRST: &[FrameCipher] = &[FrameCipher::Aes256Gcm, FrameCipher::ChaCha20Poly1305];
const NO_AES: &[FrameCipher] = &[FrameCipher::ChaCha20Poly1305];

/// Both ends of a handshake, or why one of them has refused the other.
fn shake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from("192.0.2.1").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        let mut sent = &sent[..];
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets()?;
        }
        let mut answered = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answered).unwrap();
        }
        let mut answered = &answered[..];
        while !answered.is_empty() {
            client.read_tls(&mut answered).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

/// A certificate and its key, made by hand.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Shown {
    /// As the specification has it, but for the change.
    fn with(identity: &Keypair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.custom_extensions.push(extension(identity, &key));
        change(&mut params);
        Self { chain: vec![params.self_signed(&key).unwrap().into()], key }
    }

    fn good(identity: &Keypair) -> Self {
        Self::with(identity, |_| {})
    }

    fn tls(&self) -> Tls {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = provider(AES_FIRST);
        let key = provider.key_provider.load_private_key(key).unwrap();
        Tls::of(provider, CertifiedKey::new(self.chain.clone(), key)).unwrap()
    }
}

/// `SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }`
fn extension(identity: &Keypair, key: &KeyPair) -> CustomExtension {
    let signed = [b"libp2p-tls-handshake:", key.public_key_der().as_slice()].concat();
    let strings = [identity.public().encode_protobuf(), identity.sign(&signed).unwrap()];
    let der = |tag, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let content = strings.map(|string| der(4, &string)).concat();
    let mut extension = CustomExtension::from_oid_content(&EXTENSION, der(0x30, &content));
    extension.set_criticality(true);
    extension
}

fn good() -> (Keypair, Tls) {
    let identity = Keypair::generate_ed25519();
    let tls = Tls::new(&identity).unwrap();
    (identity, tls)
}

#[track_caller]
fn is_refused_as_caller_and_as_called(shown: &Shown, why: &str) {
    let ((_, honest), bad) = (good(), shown.tls());
    for (client, server) in [(honest.client(None), bad.server()), (bad.client(None), honest.server())] {
        let error = shake(client, server).unwrap_err();
        assert!(format!("{error:?}").contains(why), "{error:?}");
    }
}

#[test]
fn peers_learn_who_the_other_is() {
    let ((one, ours), (other, theirs)) = (good(), good());
    let (client, server) = shake(ours.client(Some(other.public().to_peer_id())), theirs.server()).unwrap();
    let peer = |shown: Option<&[CertificateDer<'_>]>| proved(shown.unwrap()).unwrap();
    assert_eq!(peer(client.peer_certificates()), other.public().to_peer_id());
    assert_eq!(peer(server.peer_certificates()), one.public().to_peer_id());
    assert!([client.alpn_protocol(), server.alpn_protocol()].iter().all(|name| *name == Some(b"libp2p")));
    assert_eq!(server.server_name(), None);
}

#[test]
fn what_is_made_by_hand_is_accepted_so_that_what_is_refused_below_is_so_for_its_fault() {
    let ((_, honest), identity) = (good(), Keypair::generate_ed25519());
    let shown = Shown::good(&identity).tls();
    shake(honest.client(Some(identity.public().to_peer_id())), shown.server()).unwrap();
    shake(shown.client(None), honest.server()).unwrap();
}

#[test]
fn another_peer_than_the_expected_one_is_refused() {
    let ((_, ours), (_, theirs), (third, _)) = (good(), good(), good());
    let error = shake(ours.client(Some(third.public().to_peer_id())), theirs.server()).unwrap_err();
    assert!(format!("{error:?}").contains("WrongPeer"), "{error:?}");
}

#[test]
fn there_has_to_be_one_certificate() {
    let identity = Keypair::generate_ed25519();
    let mut shown = Shown::good(&identity);
    shown.chain.push(Shown::good(&identity).chain.remove(0));
    is_refused_as_caller_and_as_called(&shown, "Count(2)");

    let (_, honest) = good();
    let mut silent = ClientConfig::builder_with_provider(Arc::new(provider(AES_FIRST)))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::of_anybody()))
        .with_no_client_auth();
    silent.alpn_protocols = vec![ALPN.to_vec()];
    let error = shake(Arc::new(silent), honest.server()).unwrap_err();
    assert_eq!(error, rustls::Error::NoCertificatesPresented);
}

#[test]
fn a_certificate_without_a_peer_is_refused() {
    let identity = Keypair::generate_ed25519();
    let plain = Shown::with(&identity, |params| params.custom_extensions.clear());
    is_refused_as_caller_and_as_called(&plain, "BadDer");
    let twice = Shown::with(&identity, |params| {
        params.custom_extensions.push(params.custom_extensions[0].clone());
    });
    is_refused_as_caller_and_as_called(&twice, "BadDer");
    let garbage = Shown::with(&identity, |params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&EXTENSION, vec![7; 40])];
    });
    is_refused_as_caller_and_as_called(&garbage, "ExtensionValueInvalid");
    let unknown = Shown::with(&identity, |params| {
        let mut other = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        other.set_criticality(true);
        params.custom_extensions.push(other);
    });
    is_refused_as_caller_and_as_called(&unknown, "UnsupportedCriticalExtension");
}

#[test]
fn a_certificate_of_another_time_is_refused() {
    let identity = Keypair::generate_ed25519();
    let old = Shown::with(&identity, |params| params.not_after = date_time_ymd(2020, 1, 1));
    is_refused_as_caller_and_as_called(&old, "InvalidCertValidity");
    let early = Shown::with(&identity, |params| params.not_before = date_time_ymd(4000, 1, 1));
    is_refused_as_caller_and_as_called(&early, "InvalidCertValidity");
}

#[test]
fn a_certificate_that_its_key_has_not_signed_is_refused() {
    let mut shown = Shown::good(&Keypair::generate_ed25519());
    let mut bytes = shown.chain[0].to_vec();
    // The last bytes are of the signature.
    *bytes.last_mut().unwrap() ^= 1;
    shown.chain = vec![bytes.into()];
    is_refused_as_caller_and_as_called(&shown, "SignatureAlgorithmMismatch");
}

#[test]
fn a_key_that_the_peer_has_not_signed_is_refused() {
    let identity = Keypair::generate_ed25519();
    let of_another_key = extension(&identity, &KeyPair::generate().unwrap());
    let shown = Shown::with(&identity, |params| params.custom_extensions = vec![of_another_key]);
    is_refused_as_caller_and_as_called(&shown, "UnknownIssuer");
}

#[test]
fn a_certificate_of_somebody_else_is_of_no_use_without_its_key() {
    let mut shown = Shown::good(&Keypair::generate_ed25519());
    shown.key = KeyPair::generate().unwrap();
    is_refused_as_caller_and_as_called(&shown, "BadSignature");
}

#[test]
fn nothing_is_resumed_and_no_key_is_written_down() {
    let (_, tls) = good();
    assert!(!tls.server.session_storage.can_cache() && !tls.server.ticketer.enabled());
    assert_eq!(tls.server.send_tls13_tickets, 0);
    let logs = [&tls.client.key_log, &tls.server.key_log];
    assert!(logs.iter().all(|log| !log.will_log("CLIENT_HANDSHAKE_TRAFFIC_SECRET")));
    assert!(!tls.client.enable_early_data && tls.server.max_early_data_size == 0);
}

#[test]
fn the_group_is_post_quantum_and_the_cipher_is_fast_on_both_sides() {
    let tls = |supported| {
        let made = Shown::good(&Keypair::generate_ed25519());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.key.serialize_der()));
        let provider = provider(supported);
        let key = provider.key_provider.load_private_key(key).unwrap();
        let mut tls = Tls::of(provider, CertifiedKey::new(made.chain, key)).unwrap();
        Arc::get_mut(&mut tls.server).unwrap().ignore_client_order = !has_fast_aes(supported);
        tls
    };
    for (caller, called, cipher) in [
        (AES_FIRST, AES_FIRST, CipherSuite::TLS13_AES_256_GCM_SHA384),
        (AES_FIRST, NO_AES, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        (NO_AES, AES_FIRST, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        (NO_AES, NO_AES, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ] {
        let (client, server) = shake(tls(caller).client(None), tls(called).server()).unwrap();
        for agreed in [client.negotiated_cipher_suite(), server.negotiated_cipher_suite()] {
            assert_eq!(agreed.unwrap().suite(), cipher);
        }
        for group in [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()] {
            assert_eq!(group.unwrap().name(), NamedGroup::X25519MLKEM768);
        }
    }
}

#[test]
fn who_has_no_post_quantum_group_is_talked_to_with_x25519_and_nothing_else() {
    let ((_, honest), identity) = (good(), Keypair::generate_ed25519());
    let with = |group| {
        let made = Shown::good(&identity);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.key.serialize_der()));
        let provider = CryptoProvider { kx_groups: vec![group], ..provider(AES_FIRST) };
        let key = provider.key_provider.load_private_key(key).unwrap();
        Tls::of(provider, CertifiedKey::new(made.chain, key)).unwrap()
    };
    let old = with(kx_group::X25519);
    let (client, _) = shake(honest.client(None), old.server()).unwrap();
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
    shake(old.client(None), honest.server()).unwrap();
    assert!(shake(with(kx_group::SECP256R1).client(None), honest.server()).is_err());
}

#[tokio::test]
async fn over_bytes_something_else_than_libp2p_is_refused() {
    for is_caller in [true, false] {
        let ((identity, honest), (_, mut other)) = (good(), good());
        other.client.alpn_protocols.clear();
        Arc::get_mut(&mut other.server).unwrap().alpn_protocols.clear();
        let (near, far) = tokio::io::duplex(64 << 10);
        let (near, far) = (near.compat(), far.compat());
        let honest = TlsUpgrade::new(honest);
        if is_caller {
            let name = ServerName::try_from("192.0.2.1").unwrap();
            let connector = futures_rustls::TlsConnector::from(other.client(None));
            let both = tokio::join!(connector.connect(name, far), honest.upgrade_inbound(near, "/tls/1.0.0"));
            assert!(format!("{:?}", both.1.err()).contains("Protocol"));
            let shown = both.0.unwrap();
            let shown = shown.get_ref().1.peer_certificates().unwrap();
            assert_eq!(proved(shown).unwrap(), identity.public().to_peer_id());
        } else {
            let acceptor = futures_rustls::TlsAcceptor::from(other.server());
            let both = tokio::join!(acceptor.accept(far), honest.upgrade_outbound(near, "/tls/1.0.0"));
            assert!(format!("{:?}", both.1.err()).contains("Protocol"));
        }
    }
}
