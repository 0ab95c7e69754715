//! The key that checkpoints are signed with.
//!
//! Owns: the key file (an Ed25519 private key, PKCS#8 in PEM, RFC 8410, as `openssl genpkey -algorithm ed25519` writes it),
//! making it where it is missing, public keys and their fingerprint. Must not own: what is signed (`checkpoint`).

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use super::lines::sha256_hex;

/// DER of PKCS#8 version 1 up to the 32 bytes of the seed (RFC 8410, section 7).
const PRIVATE_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// DER of SubjectPublicKeyInfo up to the 32 bytes of the key (RFC 8410, section 4).
const PUBLIC_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// The most that is read of a key's file.
const FILE_MAX: u64 = 4096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key {}: {source}; set [spool] key_file", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be made.
    #[error("cannot make the key {}: {source}; set [spool] key_file to a place that can be written", .path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could read it.
    #[error("the key {} may be read by others; whoever did can sign as this node: remove it, a new one is made", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is no Ed25519 private key (PKCS#8, PEM); move it away, a new one is made", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From PEM, or from base64 of the 44 bytes of DER or the bare 32 of the key.
    pub fn parse(text: &str) -> Option<Self> {
        let body = pem_body(text, PUBLIC_LABEL).unwrap_or_else(|| text.trim().to_owned());
        let bytes = STANDARD.decode(body).ok()?;
        let bare = bytes.strip_prefix(&PUBLIC_HEAD[..]).unwrap_or(&bytes);
        bare.try_into().ok().map(Self)
    }

    /// SHA-256 of its DER, as 64 hexadecimal digits: `openssl pkey -pubin -outform DER | sha256sum`.
    pub fn fingerprint(&self) -> String {
        sha256_hex(&self.der())
    }

    /// Whether it has signed a message.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    fn der(&self) -> Vec<u8> {
        [&PUBLIC_HEAD[..], &self.0].concat()
    }
}

/// Base64 of its DER: what stands in a PEM file between the two lines.
impl fmt::Display for PublicKey {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str(&STANDARD.encode(self.der()))
    }
}

/// A key that signs.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key of a file, which is made (0600) where it is missing; whether it was.
    ///
    /// # Errors
    /// A file that cannot be read or made, that others may read, or that is no such key.
    pub fn open_or_make(path: &Path) -> Result<(Self, bool), KeyError> {
        match Self::open(path) {
            Err(KeyError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let failed = |source| KeyError::Make { path: path.to_owned(), source };
                make(path).map_err(failed)?;
                // Where another process was faster, it is that one's.
                Self::open(path).map(|signer| (signer, true))
            }
            other => other.map(|signer| (signer, false)),
        }
    }

    fn open(path: &Path) -> Result<Self, KeyError> {
        let failed = |source: io::Error| KeyError::Read { path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let file = File::from(file);
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        if found.mode() & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned() });
        }
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
        let seed = pem_body(&text, PRIVATE_LABEL).and_then(|body| STANDARD.decode(body).ok());
        let seed = seed.as_deref().and_then(|der| der.strip_prefix(&PRIVATE_HEAD[..]));
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(seed).ok());
        let public = pair.as_ref().and_then(|pair| pair.public_key().as_ref().try_into().ok());
        match (pair, public) {
            (Some(pair), Some(public)) => Ok(Self { pair, public: PublicKey(public) }),
            _ => Err(KeyError::Damaged { path: path.to_owned() }),
        }
    }

    /// What others check its signatures with.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// 64 bytes (RFC 8032), as base64.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(message))
    }
}

/// Makes a key's file, whole or not at all; leaves one that is there.
fn make(path: &Path) -> io::Result<()> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("no random numbers"))?;
    let body = STANDARD.encode([&PRIVATE_HEAD[..], &seed].concat());
    let text = format!("-----BEGIN {PRIVATE_LABEL}-----\n{body}\n-----END {PRIVATE_LABEL}-----\n");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let mut put = || -> io::Result<()> {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => rustix::fs::unlink(&temporary)?,
            other => other?,
        }
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    put().inspect_err(|_| {
        let _ = rustix::fs::unlink(&temporary);
    })
}

/// What stands between the two lines of a PEM file with this label.
fn pem_body(text: &str, label: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    Some(body.split_ascii_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.key");
        let (signer, made) = Signer::open_or_make(&path).unwrap();
        let (again, made_again) = Signer::open_or_make(&path).unwrap();
        assert_eq!((made, made_again, signer.public()), (true, false, again.public()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        make(&path).unwrap();
        assert_eq!(Signer::open(&path).unwrap().public(), signer.public(), "never replaced");
        let key = signer.public();
        let signature = STANDARD.decode(signer.sign(b"so it was")).unwrap();
        assert!(key.has_signed(b"so it was", &signature) && !key.has_signed(b"so it is", &signature));
        assert!(!key.has_signed(b"so it was", &signature[1..]));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let refused = |path: &Path| Signer::open_or_make(path).unwrap_err().to_string();
        Signer::open_or_make(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused(&path).contains("may be read by others"));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refused(&path).contains("is no Ed25519 private key"));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(refused(&path).contains("cannot read the key"));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(refused(&path).contains("cannot read the key"));
        assert!(refused(dir.path()).contains("it is no regular file"));
        assert!(refused(&dir.path().join("none/key")).contains("cannot make the key"));
    }

    /// The key pair of RFC 8032, 7.1, test 1; the DER is what openssl says of it.
    #[test]
    fn forms_of_a_public_key() {
        let der = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let key = PublicKey::parse(der).unwrap();
        assert_eq!(key.to_string(), der);
        let pem = format!(
            "text\n-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
            &der[..20],
            &der[20..]
        );
        let bare = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n";
        assert_eq!([PublicKey::parse(&pem), PublicKey::parse(bare)], [Some(key); 2]);
        for bad in ["", "x", "MCowBQYDK2VwAyEA", "-----BEGIN PUBLIC KEY-----", &der[..40]] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
        assert_eq!(key.fingerprint().len(), 64);
    }
}
