//! Mutual TLS between the processes of a cluster: each has a certificate, which the others verify with the certificate of
//! one authority.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{DataFusionError, Result, config_datafusion_err};
use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, UnknownIssuer,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use warpframe_io::file_error;

/// The environment variable with the path of this process's certificate.
pub const TLS_CERT_VARIABLE: &str = "WARPFRAME_TLS_CERT";

/// The environment variable with the path of the private key.
pub const TLS_KEY_VARIABLE: &str = "WARPFRAME_TLS_KEY";

/// The environment variable with the path of the authority's certificate.
pub const TLS_CA_VARIABLE: &str = "WARPFRAME_TLS_CA";

/// The timeout of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The certificate and the private key of a process, and the certificate of the authority that has signed those of all
/// processes of the cluster. `Debug` does not show the key.
#[derive(Clone)]
pub struct Tls(Arc<Files>);

struct Files {
    cert: PathBuf,
    identity: Identity,
    authority: Certificate,
}

impl Tls {
    /// Reads PEM files: the process's certificate, which certificates of intermediate authorities may follow, its private
    /// key, and the certificate of the authority.
    ///
    /// # Errors
    /// A file cannot be read or is not what it has to be, the key is not that of the certificate, or the certificate has
    /// expired or is not signed by the authority.
    pub fn from_files(cert: &Path, key: &Path, ca: &Path) -> Result<Self> {
        let chain = certificates(cert)?;
        let key_pem = read(key)?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|_| config_datafusion_err!("'{}' holds no private key in PEM form", key.display()))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca)? {
            roots.add(authority).map_err(|error| invalid(ca, &error))?;
        }
        // Other processes verify the certificate, but a server that rejects it does not always get to say why.
        verify(&chain, roots.clone()).map_err(|error| match error {
            rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => config_datafusion_err!(
                "the certificate in '{}' is not signed by the authority in '{}'",
                cert.display(),
                ca.display()
            ),
            rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
                config_datafusion_err!("the certificate in '{}' has expired", cert.display())
            }
            error => invalid(cert, &error),
        })?;
        rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private)
            .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => config_datafusion_err!(
                "the private key in '{}' is not that of the certificate in '{}'",
                key.display(),
                cert.display()
            ),
            error => invalid(cert, &error),
        })?;
        let identity = Identity::from_pem(read(cert)?, key_pem);
        let authority = Certificate::from_pem(read(ca)?);
        Ok(Self(Arc::new(Files { cert: cert.to_owned(), identity, authority })))
    }

    /// Reads the files that `WARPFRAME_TLS_CERT`, `WARPFRAME_TLS_KEY` and `WARPFRAME_TLS_CA` name, except those that are
    /// given here. `None` if neither names any.
    ///
    /// # Errors
    /// Only one or two files are named, or as for [`from_files`](Self::from_files).
    pub fn find(cert: Option<&Path>, key: Option<&Path>, ca: Option<&Path>) -> Result<Option<Self>> {
        let named = |given: Option<&Path>, variable: &str| {
            given.map(Path::to_owned).or_else(|| std::env::var_os(variable).map(PathBuf::from))
        };
        let files =
            [named(cert, TLS_CERT_VARIABLE), named(key, TLS_KEY_VARIABLE), named(ca, TLS_CA_VARIABLE)];
        match files {
            [None, None, None] => Ok(None),
            [Some(cert), Some(key), Some(ca)] => Self::from_files(&cert, &key, &ca).map(Some),
            _ => Err(config_datafusion_err!(
                "TLS takes three files: name them with --tls-cert, --tls-key and --tls-ca, or with {TLS_CERT_VARIABLE}, {TLS_KEY_VARIABLE} and {TLS_CA_VARIABLE}"
            )),
        }
    }

    /// The configuration of servers: they require a certificate of clients.
    pub(super) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.0.identity.clone())
            .client_ca_root(self.0.authority.clone())
            .timeout(HANDSHAKE_TIMEOUT)
    }

    /// The configuration of connections to a server whose certificate has this name or IP address.
    pub(super) fn client(&self, host: &str) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(self.0.identity.clone())
            .ca_certificate(self.0.authority.clone())
            // IPv6 addresses have brackets in URLs only.
            .domain_name(host.trim_matches(['[', ']']))
            .timeout(HANDSHAKE_TIMEOUT)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert", &self.0.cert).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| file_error("read", path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(config_datafusion_err!("'{}' holds no certificate in PEM form", path.display())),
    }
}

/// Verifies that an authority in `roots` has signed a certificate, with those of intermediate authorities after it, and that
/// it is valid now.
fn verify(chain: &[CertificateDer<'static>], roots: RootCertStore) -> std::result::Result<(), rustls::Error> {
    let verifier = WebPkiClientVerifier::builder(roots.into()).build();
    let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
    let (certificate, intermediates) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    verifier.verify_client_cert(certificate, intermediates, UnixTime::now())?;
    Ok(())
}

fn invalid(path: &Path, error: &rustls::Error) -> DataFusionError {
    config_datafusion_err!("the certificate in '{}' cannot be used: {error}", path.display())
}

/// Why a connection with TLS has failed, as the end of a sentence about the server, or `None` if that was not due to TLS.
pub(super) fn tls_failure(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(error));
        }
        // The source of an I/O error is that of its inner error.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "its certificate is not signed by the authority in --tls-ca".to_owned()
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "its certificate is not valid yet: check the clocks".to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "its certificate is for other names: use one of these as its address, or make a certificate with this one"
                .to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it requires a certificate: name one with --tls-cert and --tls-key".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "it says that the certificate in --tls-cert has expired".to_owned()
        }
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError,
        ) => "it does not accept the certificate in --tls-cert, which another authority has signed".to_owned(),
        rustls::Error::InvalidMessage(_) => "it does not use TLS".to_owned(),
        error => error.to_string(),
    }
}
