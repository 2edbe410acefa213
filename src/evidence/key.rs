//! Key: a pair for signing, kept in cosign's own format.
//!
//! The private key is ECDSA's on the curve P-256, as PKCS #8, closed by a password: scrypt makes a key of it, by which
//! NaCl's secretbox encrypts. Both are named with their figures in a JSON document, and that stands in a PEM block. The
//! public key is the PEM block that every tool reads. Signatures are ASN.1 over SHA-256.

use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};

use super::{EvidenceError, pem};
use crate::digest::Digest;

/// The kinds of PEM block that hold a private key: what is written, and what older cosigns wrote.
const PRIVATE: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
/// The kind of PEM block that holds a public key.
const PUBLIC: &str = "PUBLIC KEY";
/// How a public key on P-256 begins in DER, up to its point (RFC 5480).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of a point that is written in full.
const POINT_LEN: usize = 65;
/// The powers of two that scrypt's N may be: what cosign wrote first, writes, and can be told to write.
const COSTS: [u8; 3] = [15, 16, 17];
const COST: u8 = 16;
const BLOCK_SIZE: u32 = 8;
const LANES: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Figures,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Figures {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// A private key, opened.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Vec<u8>,
}

/// A private key as it stands in its file, read but not opened.
pub struct SealedKey {
    salt: Vec<u8>,
    cost: u8,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

/// Makes a new pair: the file of the private key, closed by the password, and the file of the public key.
pub fn generate(password: &[u8]) -> Result<(String, String), EvidenceError> {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
        .map_err(|_| EvidenceError::NoRandomness)?;
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(no_randomness)?;
    let sealed = seal(made.as_ref(), password, &salt, nonce);
    let public = PrivateKey::of_pkcs8(made.as_ref()).expect("ring reads what it made").public();
    Ok((pem::write(PRIVATE[0], &sealed), public.to_pem()))
}

fn no_randomness(_: ring::error::Unspecified) -> EvidenceError {
    EvidenceError::NoRandomness
}

fn seal(plain: &[u8], password: &[u8], salt: &[u8], nonce: [u8; 24]) -> Vec<u8> {
    let ciphertext = secretbox(password, salt, COST)
        .encrypt(&nonce.into(), plain)
        .expect("a key is shorter than what the cipher can take");
    let sealed = Sealed {
        kdf: Kdf {
            name: "scrypt".into(),
            params: Figures { n: 1 << COST, r: BLOCK_SIZE, p: LANES },
            salt: super::base64(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: super::base64(&nonce) },
        ciphertext: super::base64(&ciphertext),
    };
    serde_json::to_vec(&sealed).expect("the document has only text keys")
}

fn secretbox(password: &[u8], salt: &[u8], cost: u8) -> XSalsa20Poly1305 {
    let figures = scrypt::Params::new(cost, BLOCK_SIZE, LANES).expect("the figures are in range");
    let mut key = [0; 32];
    scrypt::scrypt(password, salt, &figures, &mut key).expect("32 bytes can be asked for");
    XSalsa20Poly1305::new(&key.into())
}

impl SealedKey {
    /// Reads the text of a private key's file. `file` is for errors alone.
    pub fn parse(text: &str, file: &str) -> Result<Self, EvidenceError> {
        let bad =
            |what: &str| EvidenceError::BadPrivateKey { file: file.into(), what: what.into() };
        let (kind, bytes) = pem::read(text).ok_or_else(|| bad("it holds no whole PEM block"))?;
        if !PRIVATE.contains(&kind.as_str()) {
            return Err(bad(&format!("it is a `{}`", super::said(&kind))));
        }
        let sealed: Sealed = serde_json::from_slice(&bytes)
            .map_err(|_| bad("its block is not the JSON of an encrypted key"))?;
        let Figures { n, r, p } = sealed.kdf.params;
        let cost = COSTS.into_iter().find(|cost| n == 1 << *cost);
        let known = sealed.kdf.name == "scrypt" && sealed.cipher.name == "nacl/secretbox";
        let Some(cost) = cost.filter(|_| known && (r, p) == (BLOCK_SIZE, LANES)) else {
            let (kdf, cipher) = (super::said(&sealed.kdf.name), super::said(&sealed.cipher.name));
            return Err(bad(&format!(
                "it is encrypted by `{kdf}` (N {n}, r {r}, p {p}) and `{cipher}`, which cosign does not use"
            )));
        };
        let decoded =
            |text: &str| super::unbase64(text).ok_or_else(|| bad("its base64 is damaged"));
        let nonce = decoded(&sealed.cipher.nonce)?;
        Ok(Self {
            salt: decoded(&sealed.kdf.salt)?,
            cost,
            nonce: nonce.try_into().map_err(|_| bad("its nonce has not 24 bytes"))?,
            ciphertext: decoded(&sealed.ciphertext)?,
        })
    }

    fn decrypt(&self, password: &[u8]) -> Option<Vec<u8>> {
        let secretbox = secretbox(password, &self.salt, self.cost);
        secretbox.decrypt(&self.nonce.into(), self.ciphertext.as_slice()).ok()
    }

    /// Opens the key with its password.
    pub fn open(&self, password: &[u8], file: &str) -> Result<PrivateKey, EvidenceError> {
        let wrong = || EvidenceError::WrongPassword { file: file.into() };
        let plain = self.decrypt(password).ok_or_else(wrong)?;
        PrivateKey::of_pkcs8(&plain).ok_or_else(|| EvidenceError::BadPrivateKey {
            file: file.into(),
            what: "it holds no ECDSA key on P-256, the only kind that is known here".into(),
        })
    }
}

impl PrivateKey {
    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random);
        Some(Self { pair: pair.ok()? })
    }

    /// Returns the public key of the pair.
    pub fn public(&self) -> PublicKey {
        PublicKey { point: self.pair.public_key().as_ref().to_vec() }
    }

    /// Signs bytes; two signatures of the same differ.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, EvidenceError> {
        let signature = self.pair.sign(&SystemRandom::new(), bytes).map_err(no_randomness)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl PublicKey {
    /// Reads the text of a public key's file. `file` is for errors alone.
    pub fn parse(text: &str, file: &str) -> Result<Self, EvidenceError> {
        let bad = |what: &str| EvidenceError::BadPublicKey { file: file.into(), what: what.into() };
        let (kind, der) = pem::read(text).ok_or_else(|| bad("it holds no whole PEM block"))?;
        if PRIVATE.contains(&kind.as_str()) {
            return Err(EvidenceError::PrivateGiven { file: file.into() });
        }
        let point = der.strip_prefix(&SPKI).filter(|point| point.len() == POINT_LEN);
        match point {
            Some(point) if kind == PUBLIC && point[0] == 4 => Ok(Self { point: point.to_vec() }),
            _ if kind == PUBLIC => Err(bad("it is no ECDSA key on P-256")),
            _ => Err(bad(&format!("it is a `{}`", super::said(&kind)))),
        }
    }

    /// Writes the key as a PEM block.
    pub fn to_pem(&self) -> String {
        pem::write(PUBLIC, &self.der())
    }

    fn der(&self) -> Vec<u8> {
        [SPKI.as_slice(), &self.point].concat()
    }

    /// Returns the digest by which people tell keys apart: of the key in DER.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der())
    }

    /// Tells whether the holder of the private key signed exactly these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(bytes, signature)
            .is_ok()
    }
}
