//! The directories of certificates and keys, and `secrets`.

use std::fs;
use std::path::{Path, PathBuf};

use config::secret::SharedSecret;
use control::vici::Message;

use super::loader::Loader;
use super::{secrets, unlock};
use crate::swanctl::session::Failure;

/// Directories of certificates, with their type and flag.
const CERTIFICATES: [(&str, &str, &str); 7] = [
    ("x509", "X509", "NONE"),
    ("x509ca", "X509", "CA"),
    ("x509ocsp", "X509", "OCSP"),
    ("x509aa", "X509", "AA"),
    ("x509ac", "X509_AC", "NONE"),
    ("x509crl", "X509_CRL", "NONE"),
    ("pubkey", "PUBKEY", "NONE"),
];

/// Directories of private keys, with the type of what is in them.
const KEYS: [(&str, &str); 4] = [
    ("private", "any"),
    ("rsa", "rsa"),
    ("ecdsa", "ecdsa"),
    ("pkcs8", "any"),
];

pub(super) fn load(loader: &mut Loader<'_>) -> Result<(), Failure> {
    if loader.options.clear {
        // The daemon has nothing to refuse here.
        let _ = loader.request("clear-creds", &Message::new())?;
    }
    // Before anything is loaded, because what comes now is not to be unloaded.
    let mut gone = loader.known("get-keys", "keys")?;
    for (directory, kind, flag) in CERTIFICATES {
        for (path, content) in contents(loader, directory)? {
            certificate(loader, &path, kind, flag, content.octets())?;
        }
    }
    let mut loaded = Vec::new();
    for (directory, kind) in KEYS {
        for (path, content) in contents(loader, directory)? {
            loaded.extend(private_key(loader, &path, directory, kind, content)?);
        }
    }
    for (path, content) in contents(loader, "pkcs12")? {
        loaded.extend(container(loader, &path, &content)?);
    }
    loaded.extend(secrets::tokens(loader)?);
    gone.retain(|id| !loaded.contains(id));
    for id in gone {
        if let Err(error) = loader.request("unload-key", &Message::new().value("id", &id))? {
            loader.failed(&format!("unloading key '{id}' failed: {error}"))?;
        }
    }
    secrets::load(loader)
}

/// The files of a directory in the order of their names; one that cannot be read is a failure.
fn contents(loader: &mut Loader<'_>, directory: &str) -> Result<Vec<(PathBuf, SharedSecret)>, Failure> {
    let entries = fs::read_dir(loader.base.join(directory));
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let mut read = Vec::new();
    for path in paths {
        match fs::read(&path) {
            Ok(content) => read.push((path, SharedSecret::new(content))),
            Err(error) => loader.failed(&format!("loading '{}' failed: {error}", path.display()))?,
        }
    }
    Ok(read)
}

fn certificate(
    loader: &mut Loader<'_>,
    path: &Path,
    kind: &str,
    flag: &str,
    content: &[u8],
) -> Result<(), Failure> {
    let request = Message::new()
        .value("type", kind)
        .value("flag", flag)
        .octets("data", content);
    let path = path.display();
    match loader.request("load-cert", &request)? {
        Ok(_) => loader.say(&format!("loaded certificate from '{path}'"))?,
        Err(error) => loader.failed(&format!("loading '{path}' failed: {error}"))?,
    }
    Ok(())
}

/// Unlocks a private key if need be, and loads it; its id.
fn private_key(
    loader: &mut Loader<'_>,
    path: &Path,
    directory: &str,
    kind: &str,
    content: SharedSecret,
) -> Result<Option<String>, Failure> {
    let Some(locked) = unlock::locked(content.octets()) else {
        loader.warn_if_exposed(path)?;
        return key(loader, path, kind, directory, &content);
    };
    let opened = open(loader, path, directory, |password| locked.open(password))?;
    match opened {
        Some((own, secret)) => {
            let kind = own.unwrap_or(kind);
            key(loader, path, kind, kind, &secret)
        }
        None => Ok(None),
    }
}

/// Loads what is in a PKCS#12 container; the ids of its keys.
fn container(loader: &mut Loader<'_>, path: &Path, content: &SharedSecret) -> Result<Vec<String>, Failure> {
    let opened = open(loader, path, "pkcs12", |password| {
        unlock::container(content.octets(), password)
    })?;
    let Some(container) = opened else {
        return Ok(Vec::new());
    };
    for (flag, der) in &container.certificates {
        certificate(loader, path, "X509", flag, der)?;
    }
    let mut ids = Vec::new();
    for secret in &container.keys {
        ids.extend(key(loader, path, "any", "any", secret)?);
    }
    Ok(ids)
}

/// Loads a key; of which kind it is said to be is up to where it was found.
fn key(
    loader: &mut Loader<'_>,
    path: &Path,
    kind: &str,
    said: &str,
    secret: &SharedSecret,
) -> Result<Option<String>, Failure> {
    let request = Message::new().value("type", kind).octets("data", secret.octets());
    let path = path.display();
    match loader.request_secret("load-key", request)? {
        Ok(answer) => {
            loader.say(&format!("loaded {said} key from '{path}'"))?;
            Ok(answer.get_str("id").map(str::to_owned))
        }
        Err(error) => {
            loader.failed(&format!("loading '{path}' failed: {error}"))?;
            Ok(None)
        }
    }
}

/// Opens a file with the password of swanctl.conf, or with one that somebody types.
fn open<T>(
    loader: &mut Loader<'_>,
    path: &Path,
    directory: &str,
    open: impl Fn(&[u8]) -> Result<T, unlock::Error>,
) -> Result<Option<T>, Failure> {
    let shown = path.display();
    let (password, configured) = match loader.passphrase(path, directory) {
        Some(password) => (password, true),
        None => match loader.prompt(&format!("Password for {directory} file '{shown}': ")) {
            Some(password) => (password, false),
            None => {
                let file = path.file_name().unwrap_or_default().display();
                loader.failed(&format!(
                    "loading '{shown}' failed: it is encrypted; add a section {directory}-1 to secrets with file = {file} and its secret"
                ))?;
                return Ok(None);
            }
        },
    };
    match open(password.octets()) {
        Ok(opened) => Ok(Some(opened)),
        Err(unlock::Error::Password) if configured => {
            loader.failed(&format!("configured decryption secret for '{shown}' invalid"))?;
            Ok(None)
        }
        Err(error) => {
            loader.failed(&format!("loading '{shown}' failed: {error}"))?;
            Ok(None)
        }
    }
}
