//! Signatures over a database.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256, Sha512};

use super::stream::{Block, Stream};
use super::{AdbError, Schema, SignatureError};
use crate::Keyring;
use crate::keyring::KeyId;

/// Largest signature block. A signature by the longest key that is accepted has a kilobyte.
const MAX_SIGNATURE: u64 = 4096;
/// Most signatures of one file. Each that names a known key is checked.
const MAX_SIGNATURES: usize = 16;
/// Version, algorithm of the database's hash, key.
const HEADER: usize = 18;

/// The hash algorithms by which a signature may refer to the database.
const SHA256: u8 = 3;
const SHA512: u8 = 4;

/// All signature blocks of a file, unchecked.
#[derive(Debug, Default)]
pub(super) struct Signatures(Vec<Vec<u8>>);

impl Signatures {
    /// Reads one more.
    pub(super) fn read<R: std::io::BufRead>(
        &mut self,
        block: &Block,
        stream: &mut Stream<R>,
    ) -> Result<(), AdbError> {
        if block.len > MAX_SIGNATURE {
            return Err(block.error("is too large for a signature"));
        }
        if self.0.len() == MAX_SIGNATURES {
            return Err(block.error("is one signature too many"));
        }
        self.0.push(stream.rest()?);
        Ok(())
    }

    /// The name of the first key of the keyring that one of them is by. What is signed is the schema, the signature's
    /// own header and the hash of the database.
    pub(super) fn verify(
        &self,
        schema: Schema,
        database: &[u8],
        keyring: &Keyring,
    ) -> Result<String, SignatureError> {
        let (mut tried, mut unknown) = (Vec::new(), Vec::new());
        for block in &self.0 {
            let Some((header, signature)) = block.split_at_checked(HEADER) else { continue };
            let mut id = KeyId::default();
            id.copy_from_slice(&header[2..]);
            let keys: Vec<_> = keyring.by_id(id).collect();
            if keys.is_empty() {
                unknown.push(format!("the key with identifier {}", HEXLOWER.encode(&id)));
                continue;
            }
            let hash = match (header[0], header[1]) {
                (0, SHA256) => Sha256::digest(database).to_vec(),
                (0, SHA512) => Sha512::digest(database).to_vec(),
                _ => continue,
            };
            let message = [&schema.bytes()[..], header, &hash].concat();
            for key in keys {
                if key.verifies_sha512(&message, signature) {
                    return Ok(key.name().to_owned());
                }
                tried.push(key.name().to_owned());
            }
        }
        Err(if self.0.is_empty() {
            SignatureError::Unsigned
        } else if !tried.is_empty() {
            SignatureError::Wrong { keys: tried }
        } else if !unknown.is_empty() {
            SignatureError::UnknownKey { ids: unknown }
        } else {
            SignatureError::Form
        })
    }
}
