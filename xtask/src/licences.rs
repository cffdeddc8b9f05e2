//! Licences of everything that is linked, against the list in deny.toml.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::run;

/// Runs cargo-deny where it is installed, which looks at advisories too; else checks the licences.
pub(crate) fn check() -> Result<(), String> {
    let deny = run::command(&["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if deny.is_ok_and(|status| status.success()) {
        return run::cargo(&["deny", "check"]);
    }
    println!("cargo-deny is not installed: licences are checked here, advisories where it is");
    let path = xtask::root().join("deny.toml");
    let deny = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let allowed = allowed(&deny);
    let output = run::command(&["metadata", "--format-version", "1", "--locked"])
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut wrong = Vec::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        if !permitted(
            text("license"),
            &[allowed.as_slice(), &excepted(&deny, text("name"))].concat(),
        ) {
            wrong.push(format!(
                "{} {}: {:?}",
                text("name"),
                text("version"),
                text("license")
            ));
        }
    }
    if packages.is_empty() {
        return Err("cargo metadata names no packages".into());
    }
    println!("{} packages, {} allowed licences", packages.len(), allowed.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "not in the list of {}:\n{}",
            path.display(),
            wrong.join("\n")
        ))
    }
}

/// The entries of `allow = [...]`.
fn allowed(deny: &str) -> Vec<&str> {
    let list = deny
        .split_once("allow = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// What `{ crate = "name", allow = [...] }` adds for one package.
fn excepted<'a>(deny: &'a str, package: &str) -> Vec<&'a str> {
    deny.split_once(&format!("crate = \"{package}\""))
        .map(|(_, rest)| allowed(rest))
        .unwrap_or_default()
}

/// Whether an SPDX expression can be satisfied: an OR by one side, an AND by both.
fn permitted(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim();
    let inner = |operator: &str| split(expression, operator);
    if let Some((left, right)) = inner(" OR ").or_else(|| inner("/")) {
        return permitted(left, allowed) || permitted(right, allowed);
    }
    if let Some((left, right)) = inner(" AND ") {
        return permitted(left, allowed) && permitted(right, allowed);
    }
    match expression
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => permitted(inner, allowed),
        None => allowed.contains(&expression),
    }
}

/// At the first operator outside of parentheses.
fn split<'a>(expression: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    expression
        .match_indices(operator)
        .map(|(at, _)| (&expression[..at], &expression[at + operator.len()..]))
        .find(|(left, _)| left.matches('(').count() == left.matches(')').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_one_package() {
        let deny = "allow = [\"MIT\"]\nexceptions = [\n  { crate = \"arena\", allow = [\"MPL-2.0\"] },\n]\n";
        assert_eq!(allowed(deny), ["MIT"]);
        assert_eq!(excepted(deny, "arena"), ["MPL-2.0"]);
        assert_eq!(excepted(deny, "other"), [""; 0]);
    }

    #[test]
    fn an_or_needs_one_side_and_an_and_both() {
        let allowed = allowed("[licenses]\nallow = [\n  \"MIT\",\n  \"ISC\",\n]\n");
        assert_eq!(allowed, ["MIT", "ISC"]);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-2.0", false),
            ("GPL-2.0 OR MIT", true),
            ("MIT/Apache-2.0", true),
            ("ISC AND (MIT OR GPL-2.0)", true),
            ("(MIT OR ISC) AND OpenSSL", false),
            ("", false),
        ] {
            assert_eq!(permitted(expression, &allowed), expected, "{expression}");
        }
    }
}
