//! Whether a certificate is the one of a libp2p peer, and of which.

use std::sync::Arc;

use libp2p::PeerId;
use libp2p::tls::certificate::{self, P2pCertificate, ParseError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

/// With what a handshake of TLS 1.3 may be signed, the best first.
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// Accepts one certificate: of this peer, or of any.
#[derive(Debug)]
pub(super) struct Verifier {
    expected: Option<PeerId>,
}

impl Verifier {
    pub(super) const fn of(expected: Option<PeerId>) -> Self {
        Self { expected }
    }

    pub(super) const fn of_anybody() -> Self {
        Self::of(None)
    }

    fn verify(&self, first: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Refused> {
        if !others.is_empty() {
            return Err(Refused::Count(others.len() + 1));
        }
        let found = certificate::parse(first)?.peer_id();
        match self.expected {
            Some(expected) if expected != found => Err(Refused::WrongPeer { expected, found }),
            _ => Ok(()),
        }
    }
}

/// The peer whose handshake has ended well, by the certificates that it has shown.
pub(in super::super) fn proved(certificates: &[CertificateDer<'_>]) -> Result<PeerId, Refused> {
    let [only] = certificates else { return Err(Refused::Count(certificates.len())) };
    Ok(certificate::parse(only)?.peer_id())
}

/// Why a certificate is not accepted.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Refused {
    #[error("there has to be one certificate, and there are {0}")]
    Count(usize),
    #[error("it is no valid certificate of a libp2p peer")]
    Invalid(#[from] ParseError),
    #[error("this is {found}, and {expected} was expected")]
    WrongPeer { expected: PeerId, found: PeerId },
    #[error("something else than libp2p is spoken")]
    Protocol,
}

impl From<Refused> for rustls::Error {
    fn from(refused: Refused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
    }
}

/// Whether who has the certificate's key has signed the handshake.
fn signed(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    if !SCHEMES.contains(&signed.scheme) {
        return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let certificate: P2pCertificate<'_> = certificate::parse(certificate).map_err(Refused::from)?;
    certificate
        .verify_signature(signed.scheme, message, signed.signature())
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadSignature))?;
    Ok(HandshakeSignatureValid::assertion())
}

/// No configuration of ours speaks anything before TLS 1.3.
fn is_old() -> rustls::Error {
    rustls::PeerIncompatible::Tls12NotOffered.into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(first, others)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(is_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(first, others)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(is_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
