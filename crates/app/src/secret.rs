//! Secrets: made here, shown once by whoever made them, kept as digests.

use rollcall_store::directory::DigestText;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// A secret in clear. Neither printed nor compared by accident.
#[derive(Clone)]
pub struct Secret(String);

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 1 to {} bytes and no control characters or spaces at its ends", Secret::MAX_BYTES)]
pub struct NoSecret;

/// No randomness to be had from the operating system.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandomness(getrandom::Error);

impl Secret {
    /// The longest secret that is looked at (`gateway` 2.3).
    pub const MAX_BYTES: usize = 128;

    /// A new one: 256 random bits as 64 hex digits.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        Ok(Self(hex(&bytes)))
    }

    /// One that somebody brings along.
    pub fn given(text: &str) -> Result<Self, NoSecret> {
        let is_fine =
            (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text;
        is_fine.then(|| Self(text.to_owned())).ok_or(NoSecret)
    }

    /// The secret in clear, for the one time it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 digest of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// As it is stored.
    pub(crate) fn to_text(self) -> DigestText {
        DigestText(hex(&self.0))
    }

    /// From what is stored.
    pub(crate) fn of_text(text: &DigestText) -> Option<Self> {
        let digits = text.0.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_secrets_differ_and_hide_themselves() {
        let one = Secret::random().unwrap();
        let other = Secret::random().unwrap();
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 64);
        let shown = format!("{one:?} {:?} {:?}", one.digest(), one.digest().to_text());
        assert!(!shown.contains(one.reveal()));
        assert!(!shown.contains(&one.digest().to_text().0));
    }

    #[test]
    fn digests_come_back_from_their_text() {
        let digest = Secret::given("abc").unwrap().digest();
        let text = digest.to_text();
        assert_eq!(text.0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Digest::of_text(&text), Some(digest));
        assert_eq!(Digest::of_text(&DigestText("ba78".into())), None);
        assert_eq!(Digest::of_text(&DigestText("g".repeat(64))), None);
        assert_eq!(Digest::of_text(&DigestText("é".repeat(32))), None);
    }

    #[test]
    fn given_secrets_are_bounded() {
        assert!(Secret::given(&"x".repeat(128)).is_ok());
        for text in ["", " x", "x\n", "a\0b", &"x".repeat(129)] {
            assert!(Secret::given(text).is_err(), "{text:?}");
        }
    }
}
