//! TLS to a PostgreSQL server, by the names that libpq gave its ways: what is encrypted, and what is checked of the certificate.

use super::password::read_private;
use super::url::Parameters;
use super::{AddressError, Place, wrong};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a URL says about TLS.
#[derive(Clone)]
pub struct Tls {
    mode: Mode,
    roots: Option<Roots>,
    /// The files of our own certificate and of its key.
    own: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The default: no TLS where nobody can listen, else all checks.
    Automatic,
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// Who may sign the certificates of servers.
#[derive(Clone)]
enum Roots {
    /// Whom the operating system trusts.
    System,
    File(PathBuf),
}

impl Tls {
    /// Takes what is said about TLS out of the parameters.
    pub fn take(given: &mut Parameters) -> Result<Self, AddressError> {
        let roots = given.take("sslrootcert").map(|text| match text.as_str() {
            "system" => Roots::System,
            _ => Roots::File(text.into()),
        });
        let own = match (given.take("sslcert"), given.take("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err(wrong("sslcert and sslkey go together: a certificate of our own and its key")),
        };
        let mode = match given.take("sslmode").as_deref() {
            Some("disable") => Mode::Disable,
            Some("prefer") => Mode::Prefer,
            Some("require") => Mode::Require,
            Some("verify-full") => Mode::VerifyFull,
            // Whoever holds any certificate of that authority could play the server.
            Some("verify-ca") => {
                return Err(wrong("sslmode=verify-ca does not check the host's name: use verify-full"));
            }
            Some(_) => return Err(wrong("sslmode takes disable or prefer or require or verify-full")),
            // Who names certificates means TLS, even to a loopback host.
            None if roots.is_some() || own.is_some() => Mode::VerifyFull,
            None => Mode::Automatic,
        };
        match (mode, &roots, &own) {
            (Mode::Disable, None, None) | (Mode::Automatic | Mode::VerifyFull, ..) => {}
            (Mode::Disable, ..) => {
                return Err(wrong("sslmode=disable uses no certificates: take out sslrootcert, sslcert and sslkey"));
            }
            (Mode::Prefer, Some(_), _) => {
                return Err(wrong("sslmode=prefer checks no certificate: take out sslrootcert, or use verify-full"));
            }
            // Anybody gets a certificate from those for some name.
            (Mode::Require, Some(Roots::System), _) => {
                return Err(wrong(
                    "sslrootcert=system without a check of the name is no check: use sslmode=verify-full",
                ));
            }
            (Mode::Prefer | Mode::Require, ..) => {}
        }
        Ok(Self { mode, roots, own })
    }

    /// What tokio-postgres has to do at a host. It knows only whether to encrypt; [`Tls::connector`] does the checks.
    pub fn ssl_mode(&self, place: &Place) -> SslMode {
        match (self.mode, place) {
            // PostgreSQL has no TLS on Unix sockets, and libpq ignores sslmode there too.
            (Mode::Disable, _) | (_, Place::Folder(_)) => SslMode::Disable,
            (Mode::Automatic, place) if place.is_local() => SslMode::Disable,
            (Mode::Prefer, _) => SslMode::Prefer,
            (Mode::Automatic | Mode::Require | Mode::VerifyFull, _) => SslMode::Require,
        }
    }

    /// Reads the files and makes what tokio-postgres connects with.
    pub fn connector(&self) -> Result<MakeRustlsConnect, AddressError> {
        // Named, since the default of the process would be whatever another crate has switched on.
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let about = |e: rustls::Error| wrong(format!("sslcert, sslkey: {e}"));
                config.with_client_auth_cert(certificates("sslcert", certificate)?, private_key(key)?).map_err(about)?
            }
        };
        // Asked for with sslnegotiation=direct, and by proxies that serve several protocols; other servers do not look at it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, AddressError> {
        let roots = self.roots.as_ref().map(Roots::load);
        Ok(match self.mode {
            Mode::Automatic | Mode::VerifyFull => {
                let roots = roots.unwrap_or_else(|| Roots::System.load())?;
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
                verifier.map_err(|e| wrong(format!("sslrootcert: {e}")))?
            }
            Mode::Disable | Mode::Prefer | Mode::Require => Arc::new(AnyName { provider, roots: roots.transpose()? }),
        })
    }
}

impl Roots {
    fn load(&self) -> Result<RootCertStore, AddressError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::File(file) => {
                for certificate in certificates("sslrootcert", file)? {
                    let about = |e| wrong(format!("sslrootcert: {}: {e}", file.display()));
                    roots.add(certificate).map_err(about)?;
                }
            }
            Self::System => {
                // Some in the system's store are often broken or outdated; the others serve all the same.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(wrong(
                        "the operating system trusts no authority: install its ca-certificates, or name a file with sslrootcert",
                    ));
                }
            }
        }
        Ok(roots)
    }
}

fn certificates(parameter: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, AddressError> {
    let about = |text: String| wrong(format!("{parameter}: {}: {text}", file.display()));
    let text = std::fs::read(file).map_err(|e| about(e.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(about("no certificate in PEM format".into())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(about(error.to_string())),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, AddressError> {
    let text = read_private(file).map_err(|e| wrong(format!("sslkey: {e}")))?;
    let about = |_| wrong(format!("sslkey: {}: no key in PEM format that is not encrypted", file.display()));
    PrivateKeyDer::from_pem_slice(&text).map_err(about)
}

/// Checks that the server has the key of its certificate, and, if roots are given, that one of them has signed it; not whose it is.
#[derive(Debug)]
struct AnyName {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
