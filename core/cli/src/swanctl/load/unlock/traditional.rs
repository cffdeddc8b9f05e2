//! PEM with `Proc-Type: 4,ENCRYPTED`: OpenSSL's form before PKCS#8.

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use config::encoded;
use config::secret::SharedSecret;
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::der::{Decode, asn1::AnyRef, pem};
use zeroize::Zeroizing;

use super::{Error, Opened};

/// A key as it is in the file.
pub(in crate::swanctl::load) struct Traditional {
    kind: &'static str,
    cipher: String,
    iv: Vec<u8>,
    encrypted: Vec<u8>,
}

impl Traditional {
    /// Reads PEM text; none if it is not encrypted in this way.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let mut lines = text.lines();
        let begin = lines.next()?.trim_end();
        if lines.next()?.trim_end() != "Proc-Type: 4,ENCRYPTED" {
            return None;
        }
        Some(Self::read(begin, text))
    }

    fn read(begin: &str, text: &str) -> Result<Self, String> {
        let kind = match begin {
            "-----BEGIN RSA PRIVATE KEY-----" => "rsa",
            "-----BEGIN EC PRIVATE KEY-----" => "ecdsa",
            _ => {
                return Err(format!(
                    "it begins with '{begin}', expected an RSA or EC private key"
                ));
            }
        };
        let info = text.lines().find_map(|line| line.strip_prefix("DEK-Info: "));
        let (cipher, iv) = info
            .and_then(|info| info.trim_end().split_once(','))
            .ok_or("expected a line 'DEK-Info: cipher,salt'")?;
        let iv = encoded::decode(&format!("0x{iv}"))
            .and_then(Result::ok)
            .ok_or("the salt in the line DEK-Info is not hexadecimal")?;
        let iv = iv.octets().to_vec();
        // The headers end with an empty line, and are no PEM to others.
        let rest = text.lines().skip_while(|line| !line.trim().is_empty()).skip(1);
        let plain: Vec<&str> = std::iter::once(begin).chain(rest).collect();
        let (_, encrypted) =
            pem::decode_vec(plain.join("\n").as_bytes()).map_err(|error| format!("it is no PEM: {error}"))?;
        Ok(Self {
            kind,
            cipher: cipher.to_owned(),
            iv,
            encrypted,
        })
    }

    pub(super) fn open(&self, password: &[u8]) -> Result<Opened, Error> {
        let der = match self.cipher.as_str() {
            "AES-128-CBC" => self.decrypt::<Aes128>(password, 16),
            "AES-192-CBC" => self.decrypt::<Aes192>(password, 24),
            "AES-256-CBC" => self.decrypt::<Aes256>(password, 32),
            "DES-EDE3-CBC" => self.decrypt::<TdesEde3>(password, 24),
            other => {
                return Err(Error::Form(format!(
                    "it is encrypted with {other}, expected AES-128-CBC, AES-192-CBC, AES-256-CBC or DES-EDE3-CBC"
                )));
            }
        }?;
        // Padding fits by chance now and then.
        if AnyRef::from_der(der.octets()).is_err() {
            return Err(Error::Password);
        }
        Ok((Some(self.kind), der))
    }

    fn decrypt<C: BlockCipherDecrypt + KeyInit>(
        &self,
        password: &[u8],
        key_length: usize,
    ) -> Result<SharedSecret, Error> {
        let salt = self.iv.get(..8).unwrap_or(&self.iv);
        let key = derive(password, salt, key_length);
        let cipher = Decryptor::<C>::new_from_slices(&key, &self.iv)
            .map_err(|_| Error::Form("the salt in the line DEK-Info has another length".to_owned()))?;
        let mut buffer = Zeroizing::new(self.encrypted.clone());
        let plain = cipher
            .decrypt_padded::<Pkcs7>(&mut buffer)
            .map_err(|_| Error::Password)?;
        Ok(SharedSecret::new(plain.to_vec()))
    }
}

/// OpenSSL's `EVP_BytesToKey`: MD5 of what came before, the password and the salt, once.
fn derive(password: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < length {
        let digest = Md5::new()
            .chain_update(&*last)
            .chain_update(password)
            .chain_update(salt)
            .finalize();
        *last = digest.to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}
