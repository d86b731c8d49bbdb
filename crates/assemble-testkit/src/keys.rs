//! Keys for tests only, of no worth: anybody has their private halves.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};

/// The PEM of the public half of the key that signs by default.
pub const TEST_KEY: &str = include_str!("../keys/testkit.rsa.pub");
/// The file name that signatures by [`TEST_KEY`] refer to.
pub const TEST_KEY_NAME: &str = "testkit.rsa.pub";
/// The PEM of the public half of a second key, for those who should not be trusted.
pub const OTHER_KEY: &str = include_str!("../keys/other.rsa.pub");
/// The file name that signatures by [`OTHER_KEY`] refer to.
pub const OTHER_KEY_NAME: &str = "other.rsa.pub";

/// Which of the two keys signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKey {
    /// [`TEST_KEY`].
    Test,
    /// [`OTHER_KEY`].
    Other,
}

impl SigningKey {
    /// The name of the public key's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => TEST_KEY_NAME,
            Self::Other => OTHER_KEY_NAME,
        }
    }

    /// The PEM of the public half.
    pub fn public(self) -> &'static str {
        match self {
            Self::Test => TEST_KEY,
            Self::Other => OTHER_KEY,
        }
    }

    /// The public half as a member of a JSON Web Key Set (RFC 7517) under this name.
    pub fn jwk(self, kid: &str) -> serde_json::Value {
        let parts = PublicKeyComponents::<Vec<u8>>::from(self.pair().public());
        let text = |number: &[u8]| BASE64URL_NOPAD.encode(number);
        serde_json::json!({"kty": "RSA", "kid": kid, "n": text(&parts.n), "e": text(&parts.e)})
    }

    fn pair(self) -> RsaKeyPair {
        let pem = match self {
            Self::Test => include_str!("../keys/testkit.rsa"),
            Self::Other => include_str!("../keys/other.rsa"),
        };
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64.decode(body.as_bytes()).expect("the embedded key is PEM");
        RsaKeyPair::from_pkcs8(&der).expect("the embedded key is PKCS#8")
    }

    fn sign_with(self, padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let pair = self.pair();
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message, &mut signature)
            .expect("the key is long enough for SHA-512");
        signature
    }

    /// RSA PKCS#1 v1.5 over SHA-256. (The library cannot make SHA-1 signatures any more, and rightly so.)
    pub fn sign(self, message: &[u8]) -> Vec<u8> {
        self.sign_with(&RSA_PKCS1_SHA256, message)
    }

    /// RSA PKCS#1 v1.5 over SHA-512, as in format version 3.
    pub fn sign_sha512(self, message: &[u8]) -> Vec<u8> {
        self.sign_with(&RSA_PKCS1_SHA512, message)
    }

    /// The bare public key (RFC 8017 appendix A.1.1).
    pub fn public_der(self) -> Vec<u8> {
        self.pair().public().as_ref().to_vec()
    }
}
