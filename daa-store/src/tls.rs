//! With which cryptography clients do TLS that ask the process for it.

/// Names `ring` for the whole process, unless somebody has named another one. Clients that cannot be told have to find one: where
/// another crate of the program brings a second one, `rustls` chooses neither by itself.
pub(crate) fn name_provider() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_client_finds_one_and_naming_it_twice_is_fine() {
        super::name_provider();
        super::name_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
