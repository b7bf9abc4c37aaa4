//! Certificates that are made on the spot, and clients that check them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;

/// A connection over TLS.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Signs the certificates of hosts.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Not the name of what it signs, which would pass for signed by itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, for clients that read one.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a new certificate with its key as `NAME.pem`, at once.
    pub fn certify(&self, folder: &Path, name: &str, hosts: &[&str]) -> CertificateDer<'static> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(hosts).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let new = folder.join(format!("{name}.new"));
        fs::write(&new, certificate.pem() + &key.serialize_pem()).expect("a file");
        fs::rename(new, folder.join(format!("{name}.pem"))).expect("a move");
        certificate.der().clone()
    }

    /// Connects to a host at an address, offering protocols (ALPN).
    pub fn connect(&self, address: SocketAddr, host: &str, protocols: &[&str]) -> Stream {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        self.over(stream, host, protocols)
    }

    /// Begins TLS on a connection.
    pub fn over(&self, stream: TcpStream, host: &str, protocols: &[&str]) -> Stream {
        self.resume(stream, host, Arc::new(self.config(protocols)))
    }

    /// The same with what is kept of sessions before.
    pub fn resume(&self, stream: TcpStream, host: &str, config: Arc<ClientConfig>) -> Stream {
        let host = ServerName::try_from(host.to_owned()).expect("a host");
        let session = ClientConnection::new(config, host).expect("a session");
        StreamOwned::new(session, stream)
    }

    /// What a client trusts and offers.
    pub fn config(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}
