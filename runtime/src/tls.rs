//! Certificates: which host has which, and what a handshake is like.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::error::explain;
use crate::hosts::Hosts;

/// A certificate, those above it, and its key.
pub(crate) type Certificate = Arc<CertifiedKey>;

/// The certificates of hosts. A client that names no host gets that of `*`. Handshakes
/// for a host fail where its tenant's certificate could not be read (`None`).
pub(crate) type Certificates = Hosts<Option<Certificate>>;

/// The certificates of now: handshakes that begin see new ones.
pub(crate) type CurrentCertificates = Arc<ArcSwap<Certificates>>;

/// Hosts that a self-made certificate names.
const OWN_HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "::1", "*.localhost"];

#[derive(Debug)]
struct Resolver(CurrentCertificates);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        self.0.load().find(name.trim_end_matches('.')).cloned().flatten()
    }
}

/// What accepts handshakes: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn acceptor(certificates: CurrentCertificates) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let resolver = Arc::new(Resolver(certificates));
    let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
    // Of what both can, the server picks: the order of a client is no better.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates and the key of two PEM files, which may be one.
///
/// # Errors
/// A sentence: which file, what is wrong with it, and the mend.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Certificate, String> {
    let pem = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("{}: {}", path.display(), explain(&error)))
    };
    let (chain, key_pem) = (pem(certificate)?, pem(key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        format!("{}: no PEM file with certificates; name a full chain", certificate.display())
    })?;
    let key_der = PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| format!("{}: no PEM file with a private key", key.display()))?;
    certified(chain, key_der).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("{certificate} and {key}: {error}; name a certificate and its own key")
    })
}

/// A certificate that this server made for itself, for development: browsers
/// warn of it.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn self_made(hosts: impl Iterator<Item = String>) -> Result<Certificate, String> {
    let own = OWN_HOSTS.iter().map(|host| (*host).to_owned());
    let names: Vec<String> = own.chain(hosts).collect();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    certified(vec![made.cert.der().clone()], key.into())
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Certificate, String> {
    let provider: CryptoProvider = default_provider();
    let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| error.to_string())?;
    Ok(Arc::new(key))
}
