//! `secrets`, and the directories of certificates and keys.

use std::fs;
use std::path::PathBuf;

use config::encoded;
use config::secret::SharedSecret;
use control::vici::Message;

use super::{Loader, Options};
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

/// What sections of shared secrets begin with.
const SHARED: [&str; 5] = ["eap", "xauth", "ntlm", "ike", "ppk"];

/// What sections begin with that unlock keys.
const UNLOCKING: [&str; 5] = ["private", "rsa", "ecdsa", "pkcs8", "pkcs12"];

pub(super) fn load(loader: &mut Loader<'_, '_>, options: &Options) -> Result<(), Failure> {
    if options.clear {
        // The daemon has nothing to refuse here.
        let _ = loader.ask("clear-creds", &Message::new())?;
    }
    certificates(loader)?;
    let loaded = keys(loader)?;
    for id in loader.known("get-keys", "keys")? {
        if !loaded.contains(&id)
            && let Err(error) = loader.ask("unload-key", &Message::new().value("id", &id))?
        {
            loader.failed(&format!("unloading key '{id}' failed: {error}"));
        }
    }
    secrets(loader)
}

fn certificates(loader: &mut Loader<'_, '_>) -> Result<(), Failure> {
    for (directory, kind, flag) in CERTIFICATES {
        for (path, content) in contents(loader, directory) {
            let request = Message::new()
                .value("type", kind)
                .value("flag", flag)
                .octets("data", content);
            match loader.ask("load-cert", &request)? {
                Ok(_) => loader.say(&format!("loaded certificate from '{}'", path.display()))?,
                Err(error) => loader.failed(&format!("loading '{}' failed: {error}", path.display())),
            }
        }
    }
    Ok(())
}

/// Loads private keys; the ids of all that were.
fn keys(loader: &mut Loader<'_, '_>) -> Result<Vec<String>, Failure> {
    let mut loaded = Vec::new();
    for (directory, kind) in KEYS {
        for (path, content) in contents(loader, directory) {
            let shown = path.display();
            let secret = SharedSecret::new(content);
            let request = Message::new().value("type", kind).octets("data", secret.octets());
            match loader.ask("load-key", &request)? {
                Ok(answer) => {
                    loaded.extend(answer.get_str("id").map(str::to_owned));
                    loader.say(&format!("loaded {kind} key from '{shown}'"))?;
                }
                Err(error) => loader.failed(&format!("loading '{shown}' failed: {error}")),
            }
        }
    }
    Ok(loaded)
}

/// The files of a directory in the order of their names; one that cannot be read is a failure.
fn contents(loader: &mut Loader<'_, '_>, directory: &str) -> Vec<(PathBuf, Vec<u8>)> {
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
            Ok(content) => read.push((path, content)),
            Err(error) => loader.failed(&format!("loading '{}' failed: {error}", path.display())),
        }
    }
    read
}

fn secrets(loader: &mut Loader<'_, '_>) -> Result<(), Failure> {
    let mut gone = loader.known("get-shared", "keys")?;
    for name in loader.settings.sections("secrets") {
        if let Some(kind) = SHARED.iter().find(|kind| name.starts_with(**kind)) {
            gone.retain(|known| *known != name);
            shared(loader, &name, kind)?;
        } else if name.starts_with("token") {
            token(loader, &name)?;
        } else if !UNLOCKING.iter().any(|kind| name.starts_with(kind)) {
            eprintln!("ignoring unsupported secret '{name}'");
        }
    }
    for id in gone {
        if let Err(error) = loader.ask("unload-shared", &Message::new().value("id", &id))? {
            loader.failed(&format!("unloading shared key '{id}' failed: {error}"));
        }
    }
    Ok(())
}

fn shared(loader: &mut Loader<'_, '_>, name: &str, kind: &str) -> Result<(), Failure> {
    let section = format!("secrets.{name}");
    let Some(secret) = loader.settings.get(&format!("{section}.secret")) else {
        eprintln!("missing secret in '{name}', ignored");
        return Ok(());
    };
    let secret = encoded::decode(secret).unwrap_or_else(|| Ok(SharedSecret::new(secret.as_bytes().to_vec())));
    let result = match secret {
        Ok(secret) => {
            let owners = loader.settings.keys(&section).into_iter();
            let owners: Vec<String> = owners
                .filter(|key| key.starts_with("id"))
                .filter_map(|key| Some(loader.settings.get(&format!("{section}.{key}"))?.to_owned()))
                .collect();
            let request = Message::new()
                .value("id", name)
                .value("type", kind)
                .octets("data", secret.octets())
                .list("owners", owners);
            loader.ask("load-shared", &request)?
        }
        Err(expected) => Err(expected.to_owned()),
    };
    match result {
        Ok(_) => loader.say(&format!("loaded {kind} secret '{name}'")),
        Err(error) => {
            let place = loader
                .settings
                .place(&section)
                .unwrap_or("swanctl.conf")
                .to_owned();
            loader.failed(&format!(
                "loading shared secret failed: {error} ('{name}', {place})"
            ));
            Ok(())
        }
    }
}

fn token(loader: &mut Loader<'_, '_>, name: &str) -> Result<(), Failure> {
    let keys = ["handle", "slot", "module", "pin"];
    let request = keys.iter().fold(Message::new(), |request, key| {
        request.value_if(key, loader.settings.get(&format!("secrets.{name}.{key}")))
    });
    match loader.ask("load-token", &request)? {
        Ok(answer) => {
            let id = answer.get_str("id").unwrap_or_default();
            loader.say(&format!("loaded key {name} from token [keyid: {id}]"))
        }
        Err(error) => {
            loader.failed(&format!("loading '{name}' failed: {error}"));
            Ok(())
        }
    }
}
