//! Why a connection over TLS came to nothing.
//!
//! Owns: one clause for each way in which that happens, with what to do. What the receiver's certificate says comes from
//! outside: it is escaped and cut. Must not own: telling it (`trouble`).

use rustls::{AlertDescription, CertificateError, Error};

use crate::model::clock::{SECOND, rfc3339};
use crate::model::text;

/// Most names of a certificate that are told, and bytes of one.
const NAMES: (usize, usize) = (4, 64);

/// What we know of ourselves.
#[derive(Clone, Debug)]
pub struct Own {
    /// Where a certificate comes from that is not trusted, as a clause says it.
    pub strange: String,
    /// Whether a certificate is shown to who asks.
    pub has_certificate: bool,
}

/// The clause for `error`.
pub fn why(error: &Error, own: &Own) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error, own),
        Error::AlertReceived(alert) => refused(*alert, own),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => "what it answers is no TLS: is it the right port?".into(),
        Error::PeerIncompatible(what) => {
            format!("it has nothing in common with TLS 1.2 or 1.3 as tetherd speaks it ({what:?})")
        }
        Error::DecryptError => "what comes from it was changed on the way, or is no TLS".into(),
        other => format!("TLS fails ({other})"),
    }
}

fn certificate(error: &CertificateError, own: &Own) -> String {
    let time = |time: rustls::pki_types::UnixTime| rfc3339(time.as_secs().saturating_mul(SECOND));
    match error {
        CertificateError::NotValidForName => {
            "its certificate is for another name: set server_name to a name that it has".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            format!(
                "its certificate names no host in subjectAltName (a CN is not enough), and has to name {}",
                expected.to_str()
            )
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for {} and not for {}: set server_name to a name that it has, or mend the address",
            names(presented),
            expected.to_str()
        ),
        CertificateError::Expired => "its certificate has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate, or one of its CA's, expired at {}", time(*not_after))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet: is this clock right?".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}: is this clock right?", time(*not_before))
        }
        CertificateError::UnknownIssuer => format!(
            "its certificate comes from {}: set ca to its CA's; what lies between the two the receiver has to send",
            own.strange
        ),
        CertificateError::Revoked => "its certificate was revoked".into(),
        CertificateError::BadSignature => {
            "its certificate is not signed by the CA that it names: has that got a new key?".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for a server (extendedKeyUsage serverAuth)".into()
        }
        other => match format!("{other:?}") {
            what if what.contains("CaUsedAsEndEntity") => {
                "its certificate is one of a CA (CA:TRUE), and no server's: sign one for the server with it".into()
            }
            what if what.contains("UnsupportedCertVersion") => {
                "its certificate is of X.509 version 1: make one with a subjectAltName".into()
            }
            what if what.contains("UnsupportedSignatureAlgorithm") => {
                "its certificate has a key or signature that is too weak, or not supported (RSA under 2048 bits, SHA-1)"
                    .into()
            }
            what => format!("its certificate cannot be used ({})", text::visible(text::cut(&what, 128))),
        },
    }
}

/// The names of a certificate, as the library shows them: `DnsName("siem.example")`.
fn names(presented: &[String]) -> String {
    let inner = |name: &String| {
        let name = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        text::visible(text::cut(name.trim_matches('"'), NAMES.1))
    };
    let told: Vec<String> = presented.iter().take(NAMES.0).map(inner).collect();
    let more = if presented.len() > NAMES.0 { " and others" } else { "" };
    format!("{}{more}", told.join(", "))
}

/// What the receiver says of us.
fn refused(alert: AlertDescription, own: &Own) -> String {
    match (alert, own.has_certificate) {
        (AlertDescription::CertificateRequired, _) | (AlertDescription::BadCertificate, false) => {
            "it asks for a certificate of ours: set certificate and key".into()
        }
        (AlertDescription::CertificateExpired, true) => {
            "it does not take our certificate, which has expired: put a new one into the files certificate and key".into()
        }
        (
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
            true,
        ) => format!("it does not take our certificate ({alert:?}): does it trust its CA, and this name?"),
        (AlertDescription::HandshakeFailure, false) => {
            "it ends the handshake: it has no cipher in common with us, or asks for a certificate of ours".into()
        }
        (AlertDescription::ProtocolVersion, _) => "it speaks neither TLS 1.2 nor 1.3".into(),
        _ => format!("it ends TLS ({alert:?}); its own log may say more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;

    #[test]
    fn a_certificate_cannot_write_into_the_log() {
        let presented = (0..9).map(|n| format!("DnsName(\"a{n}\n\u{1b}[31m{}\")", "x".repeat(500))).collect();
        let expected = ServerName::try_from("siem.example").unwrap();
        let error =
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented });
        let said = why(&error, &Own { strange: String::new(), has_certificate: false });
        assert!(said.starts_with("its certificate is for a0\\n"), "{said}");
        assert!(said.len() < 600 && !said.contains(char::is_control), "{said}");
    }
}
