//! Cipher: what Mainflux's secure bootstrap is closed with: AES in CFB mode, the IV first.

use aes::{Aes128, Aes192, Aes256};
use cfb_mode::cipher::KeyIvInit as _;
use cfb_mode::{Decryptor, Encryptor};

use super::token::random;

const IV_BYTES: usize = 16;

/// Closes bytes; `None` where the key is of no length that AES has.
pub(super) fn seal(key: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let iv = random::<IV_BYTES>();
    let mut sealed = [&iv[..], plain].concat();
    let body = &mut sealed[IV_BYTES..];
    match key.len() {
        16 => Encryptor::<Aes128>::new_from_slices(key, &iv).ok()?.encrypt(body),
        24 => Encryptor::<Aes192>::new_from_slices(key, &iv).ok()?.encrypt(body),
        _ => Encryptor::<Aes256>::new_from_slices(key, &iv).ok()?.encrypt(body),
    }
    Some(sealed)
}

/// Opens what was closed; `None` where it is too short to have been, or the key is of no length that AES has.
pub(super) fn open(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (iv, body) = sealed.split_at_checked(IV_BYTES)?;
    let mut body = body.to_vec();
    match key.len() {
        16 => Decryptor::<Aes128>::new_from_slices(key, iv).ok()?.decrypt(&mut body),
        24 => Decryptor::<Aes192>::new_from_slices(key, iv).ok()?.decrypt(&mut body),
        _ => Decryptor::<Aes256>::new_from_slices(key, iv).ok()?.decrypt(&mut body),
    }
    Some(body)
}

/// Reads hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let byte = |pair: &[u8]| {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
    };
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_s_cfb_closed_is_opened() {
        // crypto/cipher's NewCFBEncrypter with NIST SP 800-38A's key, IV and text for CFB128-AES256.
        let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        let iv = "000102030405060708090a0b0c0d0e0f";
        let text = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
        let sealed = "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b";
        let key = unhex(key).unwrap();
        let all = unhex(&[iv, sealed].concat()).unwrap();
        assert_eq!(open(&key, &all), unhex(text));
    }

    #[test]
    fn what_was_closed_is_opened_with_keys_of_every_length() {
        for length in [16, 24, 32] {
            let key = vec![7; length];
            let sealed = seal(&key, b"seventeen letters").unwrap();
            assert_eq!(sealed.len(), 16 + 17);
            assert_eq!(open(&key, &sealed).unwrap(), b"seventeen letters");
        }
        assert_eq!(seal(&[1; 5], b""), None);
        assert_eq!(open(&[1; 32], b"short"), None);
    }

    #[test]
    fn digits_that_are_none_are_refused() {
        assert_eq!(unhex("00fF"), Some(vec![0, 255]));
        for bad in ["0", "0g", "é0", "+1"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
