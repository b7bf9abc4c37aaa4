//! Whom requests over TLS trust: the system's authorities, and those of a file.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wasmtime_wasi_http::Error;

use crate::error::explain;

/// Authorities, and what connects with them; that is made when it is first
/// needed, since the system has many.
#[derive(Default)]
pub(super) struct Trust {
    own: Vec<CertificateDer<'static>>,
    connector: OnceCell<TlsConnector>,
}

impl Trust {
    /// The system's authorities, and those of a PEM file.
    ///
    /// # Errors
    /// A sentence: what is wrong with the file, and the mend.
    pub(super) fn with(file: Option<&Path>) -> Result<Trust, String> {
        let Some(path) = file else { return Ok(Trust::default()) };
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {}", explain(&error)))?;
        let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let own = own.ok().filter(|own| !own.is_empty()).ok_or_else(|| {
            format!("{shown}: no PEM file with certificates; name those of authorities")
        })?;
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            roots.add(certificate.clone()).map_err(|error| format!("{shown}: {error}"))?;
        }
        Ok(Trust { own, connector: OnceCell::new() })
    }

    /// What makes handshakes: HTTP/2 before HTTP/1.1.
    pub(super) async fn connector(&self) -> Result<&TlsConnector, Error> {
        let made = self.connector.get_or_try_init(|| async {
            let own = self.own.clone();
            let made = tokio::task::spawn_blocking(move || connector(own)).await;
            made.map_err(|error| error.to_string()).flatten()
        });
        made.await.map_err(|why| Error::InternalError(Some(why)))
    }
}

fn connector(own: Vec<CertificateDer<'static>>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!("authorities of the system: {error}");
    }
    roots.add_parsable_certificates(system.certs.into_iter().chain(own));
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A session of one tenant is not gone on with by another.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
